"""What papers claim, and whether it is true of the records."""
