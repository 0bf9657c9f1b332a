"""Tables and pictures of lenses, from records alone."""
