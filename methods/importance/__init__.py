"""How much each component matters: one file a way to measure or estimate it."""
