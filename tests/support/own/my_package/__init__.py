"""A package of a user's own: one of everything that can be added."""
