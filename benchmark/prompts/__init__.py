"""A task's pairs of clean and corrupted texts become batches of tokens."""
