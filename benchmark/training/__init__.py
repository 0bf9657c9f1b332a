"""The loop that trains masks and constants, and its checkpoints."""
