"""Scores of edges, and circuits chosen by them."""
