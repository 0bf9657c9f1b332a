"""Tables and pictures of components ablated alone."""
