"""Counts fresh processes in which vector math is wrong at first, without and with the warm-up.

    python scripts/check_vector_math.py --processes 100

In each process every function of `benchmark.transformer.vector_math` is called twice by all threads
on the same numbers. Printed is, for each function, in how many processes the two results differ;
with the warm-up before them none may.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter

# One function a process: after the first, another would find the library warm.
CODE = """
import json, sys
import torch
name, threads, warm = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
if threads:
    torch.set_num_threads(threads)
if warm:
    from benchmark.transformer.vector_math import sound_vector_math
    sound_vector_math()
numbers = torch.linspace(0.01, 4, 1 << 17)
first, second = (getattr(torch, name)(numbers) for _ in range(2))
print(json.dumps([torch.equal(first, second), float((first - second).abs().max())]))
"""


def main() -> int:
    """Print a line for each function, without and with the warm-up; 1 if the latter failed."""
    from benchmark.transformer.vector_math import FUNCTIONS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=100, help="for each line")
    parser.add_argument("--threads", type=int, default=0, help="0 is torch's own number")
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=FUNCTIONS)
    given = parser.parse_args()
    print(f"{'function':10} {'warm-up':8} {'wrong':>9} {'by at most':>12}")
    n_wrong = Counter[bool]()
    for name in given.functions:
        for warm in (False, True):
            found = [_differs(name, given.threads, warm) for _ in range(given.processes)]
            wrong = [by for equal, by in found if not equal]
            n_wrong[warm] += len(wrong)
            share = f"{len(wrong)} of {len(found)}"
            print(f"{name:10} {warm!s:8} {share:>9} {max(wrong, default=0):>12.1e}", flush=True)
    return int(n_wrong[True] > 0)


def _differs(name: str, threads: int, warm: bool) -> tuple[bool, float]:
    """Whether the first two results of a fresh process are equal, and by how much they differ."""
    command = [sys.executable, "-c", CODE, name, str(threads), str(warm)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    equal, by = json.loads(done.stdout)
    return equal, by


if __name__ == "__main__":
    sys.exit(main())
