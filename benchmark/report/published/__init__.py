"""Published numbers as data with their source, and their reader."""
