"""Reports by the kind of their study."""
