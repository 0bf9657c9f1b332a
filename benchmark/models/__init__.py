"""A name becomes a checked model."""
