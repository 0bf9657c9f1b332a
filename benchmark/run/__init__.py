"""A cell from its settings to its record, and grids of cells."""
