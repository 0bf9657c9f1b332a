"""Tables and pictures of circuits."""
