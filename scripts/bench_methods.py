"""Time circuit-discovery methods in multiples of one plain Hugging Face forward pass.

    .venv/bin/python scripts/bench_methods.py [--json FILE] [--shapes small gpt2] [--device cpu]

Each operation is timed next to a plain forward pass (no gradient) of the same prompts by Hugging
Face, in turn, in one process; the figure is the median over rounds of the ratio of their times.
A step of UGS takes 5 prompts and 12 masks of one penalty, and everything that a step does; the
scores of EAP take 8 prompts, their corrupted pass included.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from bench_engine import N_TOKENS, SIZES, random_batch, seconds
from rich.console import Console
from rich.table import Table

from benchmark.ablation import Counterfactual
from benchmark.batch import Batch
from benchmark.config import configured
from benchmark.joint_training import CONSTANTS_LEARN_BELOW
from benchmark.masked_training import MaskedTraining
from benchmark.memory import keep_freed_memory
from benchmark.method import Problem
from benchmark.model import LanguageModel, load_model
from benchmark.random_models import random_config, save_random_model
from benchmark.trained_values import GivenValues
from methods.circuits.uniform_masks import UniformMasks

BARS = {"ugs step, optimal": 30.0, "ugs step, counterfactual": 30.0, "eap scores": 5.0}
POOL, STEP_PROMPTS, MASKS, EAP_PROMPTS = 20, 5, 12, 8


def ugs_step(model: LanguageModel, pool: Batch, ablation: str) -> Callable[[], None]:
    """One step of training, of one penalty."""
    masks = UniformMasks(
        model.graph,
        torch.tensor([1e-3], device=model.device),
        learning_rates=[0.05],
        node_penalties=[2e-4],
        masks_per_step=MASKS,
        initial_logit=1.0,
        window=1.0,
        clip=5.0,
        seed=0,
    )
    if ablation == "optimal":
        optimal = configured("ablation", "optimal")
        values = optimal.learner(model, pool, 1, 2e-3, CONSTANTS_LEARN_BELOW)
    else:
        values = GivenValues(Counterfactual(keep_first=True).fit(model, [pool]), ablation)
    return MaskedTraining(model, pool, masks, values, batch_size=STEP_PROMPTS, seed=0).advance


def eap_scores(model: LanguageModel, batch: Batch) -> Callable[[], object]:
    """The scores of all edges."""
    problem = Problem(
        model=model,
        batches=[batch],
        metric=configured("metric", "logit_difference"),
        ablation=Counterfactual(keep_first=True),
        references={},
        seed=0,
        training_steps=None,
        work_folder=None,
    )
    method = configured("method", "eap")
    return lambda: method.scores(problem)


def measure(model: LanguageModel, rounds: int) -> dict[str, float]:
    """The ratio of each operation."""
    pool = random_batch(model.shape.d_vocab, POOL, N_TOKENS, model.device)
    eap_batch = pool.split(EAP_PROMPTS)[0]
    operations = {
        "ugs step, optimal": (ugs_step(model, pool, "optimal"), STEP_PROMPTS),
        "ugs step, counterfactual": (ugs_step(model, pool, "counterfactual"), STEP_PROMPTS),
        "eap scores": (eap_scores(model, eap_batch), EAP_PROMPTS),
    }
    ratios = {}
    for name, (work, n_prompts) in operations.items():
        tokens = pool.clean[:n_prompts]

        @torch.no_grad()
        def plain(tokens: torch.Tensor = tokens) -> None:
            model.hugging_face(tokens, use_cache=False)

        for _ in range(3):
            plain()
            work()
        pairs = [(seconds(work, model.device), seconds(plain, model.device)) for _ in range(rounds)]
        ratios[name] = round(statistics.median(a / b for a, b in pairs), 2)
    return ratios


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shapes", nargs="+", choices=SIZES, default=["small"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    table, found = Table("operation", "shape", "ratio", "bar"), {}
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            directory = save_random_model(Path(folder), random_config("gpt2", **SIZES[shape]))
            model = load_model(directory, device=options.device)
            found[shape] = measure(model, options.rounds)
        for name, ratio in found[shape].items():
            table.add_row(name, shape, str(ratio), str(BARS[name]))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
