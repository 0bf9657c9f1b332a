"""Time a training step of the OCA lens beside what it must compute, and beside a naive loop.

    .venv/bin/python scripts/bench_lens.py [--json FILE] [--models toy_gpt2 small] [--device cpu]

A step trains the constants of all start layers. What it must compute are passes of L (L + 1) / 2
MLPs over all places with their backward passes, and a plain pass, where the text is too long for
its states to be kept. Beyond that a step unembeds L + 1 rows. The naive loop starts anew at every
layer, after a pass that gives it its states. All are timed in turn in one process; figures are
medians over rounds of ratios, with their quartiles. The unit is one plain Hugging Face forward pass
of the same rows.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_engine import seconds
from bench_importance import loaded
from bench_methods import plain_pass
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmark.forward.states import States, without_attention
from benchmark.memory import keep_freed_memory
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.prompts.random_batch import random_batch
from benchmark.transformer.blocks import mlp
from methods.lens.fitted import ConstantAttentionLens
from methods.lens.fitting.loss import divergences_with_gradient
from methods.lens.fitting.text import states_of

ROWS, LENGTH, BAR = 50, 25, 1.3
BARRED = "read anew, over MLPs and a plain pass"


def constants(model: LanguageModel) -> ConstantAttentionLens:
    """Zeros that learn."""
    width = model.shape.d_model
    rows = [
        torch.zeros(layer + 1, width, device=model.device, requires_grad=True)
        for layer in range(model.shape.n_layers)
    ]
    return ConstantAttentionLens(model, tuple(rows))


def step(lens: ConstantAttentionLens, read: Callable[[], States]) -> Callable[[], object]:
    """What a training step computes, but for the optimiser."""

    def work() -> None:
        states = read()
        finals = lens.finals(states.before[:-1])
        divergences_with_gradient(lens.model, finals, states.before[-1:])

    return work


def mlps(model: LanguageModel, states: Tensor) -> Callable[[], object]:
    """The MLPs of all layers, each on the rows of its start layers, forward and backward."""

    def work() -> None:
        for layer, block in enumerate(model.weights.layers):
            x = states[: layer + 1, :, None].detach().requires_grad_()
            mlp(block.mlp, x[None]).sum().backward()

    return work


def naive(model: LanguageModel, batch: Batch, lens: ConstantAttentionLens) -> Callable[[], object]:
    """Every start layer by itself, after a pass that gives the states."""
    n_layers = model.shape.n_layers

    def work() -> None:
        states = states_of(model, [batch])
        for start in range(n_layers):
            final = without_attention(
                model,
                states.before[start][None],
                start,
                lambda k, start=start: lens.constants[k][start][None, None],
            )
            divergences_with_gradient(model, final, states.before[-1:])

    return work


def measure(model: LanguageModel, rounds: int) -> dict[str, list[float]]:
    """The ratios of each operation."""
    batch = random_batch(model.shape.d_vocab, ROWS, LENGTH, same_length=True).to(model.device)
    states, lens = states_of(model, [batch]), constants(model)
    unit = plain_pass(model, batch.clean)
    kinds = {
        "a step of the OCA lens": step(lens, lambda: states),
        "a step that reads its rows anew": step(lens, lambda: states_of(model, [batch])),
        "its MLPs": mlps(model, states.before),
        "a naive step": naive(model, batch, lens),
    }
    for work in (unit, *kinds.values()):
        work()
        work()
    times = {name: [] for name in ("unit", *kinds)}
    for _ in range(rounds):
        times["unit"].append(seconds(unit, model.device))
        for name, work in kinds.items():
            times[name].append(seconds(work, model.device))
    found = {name: list(np.divide(times[name], times["unit"])) for name in kinds}
    kept, anew, alone, other = (np.array(times[name]) for name in kinds)
    found[BARRED] = list(anew / (alone + np.array(times["unit"])))
    found["kept, over a naive step"] = list(kept / other)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", nargs="+", default=["toy_gpt2", "small"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    table, found = Table("operation", "model", "ratio", "quartiles", "bar"), {}
    for name in options.models:
        found[name] = measure(loaded(name, options.device), options.rounds)
        for operation, ratios in found[name].items():
            low, middle, high = np.percentile(ratios, [25, 50, 75])
            bar = str(BAR) if operation == BARRED else ""
            table.add_row(operation, name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", bar)
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
