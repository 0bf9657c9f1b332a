"""Numbers of a curve: areas, bootstrap intervals, averages at sizes; without torch."""
