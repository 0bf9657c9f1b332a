"""Time circuit-discovery methods in multiples of one plain Hugging Face forward pass.

    .venv/bin/python scripts/bench_methods.py [--json FILE] [--shapes small gpt2] [--device cpu]
    .venv/bin/python scripts/bench_methods.py --shapes smollm2-135m-q4 --tokens 16 --threads 1

A shape is a random GPT-2 of that size, or a model's name or directory.
Each operation is timed next to a plain forward pass (no gradient) of the same prompts by Hugging
Face, in turn, in one process; the figure is the median over rounds of the ratio of their times,
with its quartiles. Steps of training are whole steps, with everything that a step does: 5 prompts
and 12 masks of one price for UGS and HCGS, 8 prompts and one target for Edge Pruning, with the
full model's and the corrupted passes. Scores take 8 prompts, their corrupted pass included. ACDC is
the time of a whole search with one threshold, divided by its tests.

What peers take, on the same machine and shapes, is in the last column where it is known: the
EAP-IG library (EAP, EAP-IG with 5 points), the code of Edge Pruning (its step at two batch
sizes), and one full pass with hooks per test for ACDC.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench_engine import N_TOKENS, model_of, prompts, seconds
from rich.console import Console
from rich.table import Table

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.memory import keep_freed_memory
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.training.loop import MaskedTraining
from methods.circuits.masks.concrete import ConcreteMasks
from methods.circuits.masks.priced import PricedMasks
from methods.circuits.masks.training import CONSTANTS_LEARN_BELOW
from methods.circuits.masks.uniform import UniformMasks

BARS = {
    "ugs step, optimal": 30.0,
    "ugs step, counterfactual": 30.0,
    "hcgs step, counterfactual": 30.0,
    "edge pruning step": 5.5,
    "eap scores": 5.0,
    "eap_ig scores": 16.0,
    "acdc, one test": 0.8,
}
PEERS = {
    "edge pruning step": "10.6-14.7",
    "eap scores": "9-17",
    "eap_ig scores": "33-69",
    "acdc, one test": "3.2",
}
POOL, STEP_PROMPTS, MASKS, PROMPTS = 20, 5, 12, 8


def priced_step(
    model: LanguageModel,
    pool: Batch,
    ablation: str,
    kind: Callable[..., PricedMasks],
    settings: dict[str, float],
) -> Callable[[], None]:
    """One step of training masks of one price."""
    masks = kind(
        model.graph,
        torch.tensor([1e-3]),
        learning_rates=[0.05],
        node_prices=[2e-4],
        masks_per_step=MASKS,
        clip=5.0,
        seed=0,
        device=model.device,
        **settings,
    )
    if ablation == "optimal":
        optimal = configured("ablation", "optimal")
        replacement = optimal.learner(model, pool, 1, 2e-3, CONSTANTS_LEARN_BELOW)
    else:
        replacement = Counterfactual(keep_first=True).fit(model, [pool])
    return MaskedTraining(model, pool, masks, replacement, batch_size=STEP_PROMPTS, seed=0).advance


def edge_pruning_step(model: LanguageModel, batch: Batch) -> Callable[[], None]:
    """One step of Edge Pruning, which forgets the full model's logits of the step before."""
    method = configured("method", "edge_pruning")
    exists = model.graph.exists.to(model.device)
    masks = method.masks(exists, model.graph.n_edges, [0.9], steps=3000, seed=0)
    replacement = Counterfactual(keep_first=True).fit(model, [batch])

    def step() -> None:
        MaskedTraining(model, batch, masks, replacement, batch_size=len(batch), seed=0).advance()

    return step


def problem(model: LanguageModel, batch: Batch) -> Problem:
    """The prompts under counterfactual ablation."""
    return Problem(
        model=model,
        batches=[batch],
        metric=configured("metric", "logit_difference"),
        ablation=Counterfactual(keep_first=True),
        references={},
        seed=0,
        training_steps=None,
        work_folder=None,
    )


def operations(model: LanguageModel, pool: Batch) -> dict[str, tuple[Callable[[], object], int]]:
    """What is timed, and how many prompts it takes."""
    batch = pool.split(PROMPTS)[0]
    asked = problem(model, batch)
    ugs, hcgs = dict(initial_logit=1.0, window=1.0), dict(initial_logit=0.0, low=-0.12)
    steps = {
        "ugs step, optimal": priced_step(model, pool, "optimal", UniformMasks, ugs),
        "ugs step, counterfactual": priced_step(model, pool, "counterfactual", UniformMasks, ugs),
        "hcgs step, counterfactual": priced_step(
            model, pool, "counterfactual", ConcreteMasks, hcgs
        ),
    }
    scores = {
        f"{name} scores": partial(configured("method", name).scores, asked)
        for name in ("eap", "eap_ig")
    }
    whole = {"edge pruning step": edge_pruning_step(model, batch), **scores}
    return {
        **{name: (work, STEP_PROMPTS) for name, work in steps.items()},
        **{name: (work, PROMPTS) for name, work in whole.items()},
    }


def plain_pass(model: LanguageModel, tokens: torch.Tensor) -> Callable[[], None]:
    """A forward pass of Hugging Face's model."""

    @torch.no_grad()
    def plain() -> None:
        model.hugging_face(tokens, use_cache=False)

    return plain


def measure(
    model: LanguageModel, n_tokens: int, rounds: int, only: list[str]
) -> dict[str, list[float]]:
    """The ratios of each operation, or of those whose names hold one of these texts."""
    pool = prompts(model, POOL, n_tokens)
    ratios = {}
    for name, (work, n_prompts) in operations(model, pool).items():
        if only and not any(text in name for text in only):
            continue
        plain = plain_pass(model, pool.clean[:n_prompts])
        for _ in range(min(3, rounds)):
            plain()
            work()
        pairs = [(seconds(work, model.device), seconds(plain, model.device)) for _ in range(rounds)]
        ratios[name] = [a / b for a, b in pairs]
    return ratios


def measure_acdc(model: LanguageModel, n_tokens: int, threshold: float) -> list[float]:
    """A whole search in plain passes for each of its tests."""
    pool = prompts(model, PROMPTS, n_tokens)
    plain = plain_pass(model, pool.clean)
    plain()
    before = [seconds(plain, model.device) for _ in range(5)]
    search = configured("method", "acdc", thresholds=[threshold]).search(problem(model, pool))
    spent = seconds(search.run, model.device)
    after = [seconds(plain, model.device) for _ in range(5)]
    return [spent / search.tested / statistics.median(before + after)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shapes", nargs="+", default=["small"])
    parser.add_argument("--only", nargs="+", default=[], help="parts of operations' names")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=N_TOKENS)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--acdc-threshold", type=float, default=None, help="also time ACDC: minutes, hours for gpt2"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    table, found = Table("operation", "shape", "ratio", "quartiles", "bar", "peers"), {}
    for shape in options.shapes:
        model = model_of(shape, options.device)
        found[shape] = measure(model, options.tokens, options.rounds, options.only)
        if options.acdc_threshold is not None:
            found[shape]["acdc, one test"] = measure_acdc(
                model, options.tokens, options.acdc_threshold
            )
        for name, ratios in found[shape].items():
            low, middle, high = (f"{np.quantile(ratios, q):.2f}" for q in (0.25, 0.5, 0.75))
            spread, bar = f"{low}-{high}", str(BARS[name])
            table.add_row(name, shape, middle, spread, bar, PEERS.get(name, ""))
    Console(width=max(Console().width, 100)).print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
