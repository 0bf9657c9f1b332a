"""The contract of a method: what it may see, and what it must give back."""
