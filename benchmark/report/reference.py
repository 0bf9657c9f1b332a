"""The records that ship, which a user's own may be compared with."""

from pathlib import Path

# Made by scripts/reference_results.py.
REFERENCE = Path(__file__).resolve().parents[1] / "reference_results"
