"""Models compiled by hand from programs."""
