"""Methods that estimate how much each node of a model matters, and what judges the estimates."""
