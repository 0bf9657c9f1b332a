"""The canonical graph of sources, readers and edges; masks, scores and their files."""
