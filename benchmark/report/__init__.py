"""Records to tables, statistics and pictures. Needs no torch."""
