"""Methods that say how much each component matters, one file each."""
