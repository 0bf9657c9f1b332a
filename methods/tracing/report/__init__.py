"""Tables and pictures of causal tracing; without torch."""
