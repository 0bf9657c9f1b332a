"""Methods, one per file. None yet."""
