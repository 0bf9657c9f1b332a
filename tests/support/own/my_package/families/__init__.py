"""Families by their model_type."""
