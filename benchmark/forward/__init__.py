"""The passes: clean, recorded and masked."""
