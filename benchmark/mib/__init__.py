"""The MIB circuit track: its files, forms, board and submissions."""
