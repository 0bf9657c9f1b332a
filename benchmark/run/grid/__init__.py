"""The cells of one command as jobs, and what became of each."""
