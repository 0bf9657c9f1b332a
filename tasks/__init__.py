"""Tasks, one per file. None yet."""
