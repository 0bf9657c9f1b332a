"""What a cell finds: discovery, circuits measured, and the files that hold them."""
