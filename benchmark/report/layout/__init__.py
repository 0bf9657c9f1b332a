"""How tables and pictures look, and the files that they are written to."""
