"""What was typed, checked before Hydra sees it; the user's own packages and folders."""
