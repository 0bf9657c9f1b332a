"""How the time of a masked pass grows with each size, beside the growth of its arithmetic.

    .venv/bin/python scripts/bench_scaling.py [--json FILE]

One size is doubled at a time, from 4 layers of 8 heads (width 128), 8 prompts of 20 tokens and one
mask. `time` is the ratio of the masked pass's elapsed times, `arithmetic` that of the formula in
benchmark/forward/passes.py. Time grows more slowly where a pass is too small to fill the machine.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import torch
from bench_engine import masked_forward, multiply_adds, prompts, seconds
from rich.console import Console
from rich.table import Table

from benchmark.forward.values import zero_values
from benchmark.memory import keep_freed_memory
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model

BASE = dict(n_layers=4, n_heads=8, d_model=128, prompts=8, masks=1, tokens=20)
CHANGES = {
    "twice the layers": dict(n_layers=8),
    "twice the heads": dict(n_heads=16),
    "twice the heads and the width": dict(n_heads=16, d_model=256),
    "twice the prompts": dict(prompts=16),
    "12 masks": dict(masks=12),
    "twice the tokens": dict(tokens=40),
    "eight times the tokens": dict(tokens=160),
}


def cost(sizes: dict[str, int], rounds: int) -> tuple[float, float]:
    """Median elapsed seconds of one masked pass without gradient, and its multiply-adds."""
    width = sizes["d_model"]
    config = random_config(
        "gpt2",
        n_layers=sizes["n_layers"],
        n_heads=sizes["n_heads"],
        d_model=width,
        d_mlp=4 * width,
        d_vocab=1000,
        n_ctx=256,
    )
    with tempfile.TemporaryDirectory() as directory:
        model = load_model(save_random_model(directory, config), device="cpu", check=False)
    batch = prompts(model, sizes["prompts"], sizes["tokens"])
    mask = torch.rand(sizes["masks"], *model.graph.exists.shape) * model.graph.exists
    values = zero_values(model.shape, keep_first=True)
    masked_forward(model, batch, mask, values)
    times = [
        seconds(lambda: masked_forward(model, batch, mask, values), model.device, elapsed=True)
        for _ in range(rounds)
    ]
    rows = sizes["prompts"] * sizes["masks"]
    return statistics.median(times), multiply_adds(model, rows, sizes["tokens"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()
    base_time, base_arithmetic = cost(BASE, options.rounds)
    results = []
    table = Table("change", "time", "arithmetic")
    for name, change in CHANGES.items():
        took, arithmetic = cost({**BASE, **change}, options.rounds)
        growth = round(took / base_time, 2), round(arithmetic / base_arithmetic, 2)
        results.append({"change": name, "time": growth[0], "arithmetic": growth[1]})
        table.add_row(name, *map(str, growth))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
