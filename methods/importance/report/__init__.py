"""Tables and pictures of studies of importance; without torch."""
