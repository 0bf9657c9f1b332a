"""Effects of ablated edges: exact, and by one gradient for all of them."""
