"""Models that are trained to do with a few of their units at a time (Ferrao et al. 2025)."""
