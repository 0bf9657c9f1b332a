"""Effects of patched nodes, the units of a site at a position: exact, and to first order."""
