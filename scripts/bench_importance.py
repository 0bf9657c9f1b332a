"""Time estimates of node importance in multiples of Hugging Face's plain passes.

    .venv/bin/python scripts/bench_importance.py [--json FILE] [--models toy_gpt2] [--device cpu]

Each operation is timed next to Hugging Face's passes of the same prompts, in turn, in one process;
the figure is the median over rounds of the ratio of their times, with its quartiles. The unit of
gradient methods is two forward passes and one backward pass to the embeddings (what plain
attribution patching takes), that of measurements one forward pass. What the softmax fix adds is the
difference of two timings, in forward passes. Nodes are all of attention and MLPs at every position;
exhaustive patching takes the attention nodes, and its figure is for one node and prompt.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench_engine import N_TOKENS, SIZES, prompts, seconds
from bench_methods import plain_pass, problem
from rich.console import Console
from rich.table import Table

from benchmark.config import configured
from benchmark.effects.nodes.exact import exact_node_effects
from benchmark.effects.nodes.first_order import AtPVariant, Cut, node_effects
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.effects.nodes.patching import SiteRun, set_effects
from benchmark.memory import keep_freed_memory
from benchmark.metric import CrossEntropy
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.prompts.batch import Batch

BARS = {"atp": 1.5, "softmax fix adds": 2.0}
PROMPTS, SETS = 8, 64
METRIC = CrossEntropy()
Timed = dict[str, list[float]]


def gradient_passes(model: LanguageModel, batch: Batch) -> Callable[[], None]:
    """Hugging Face's two forward passes, one of them without gradient, and its backward pass."""
    embed = model.hugging_face.get_input_embeddings()
    corrupted = plain_pass(model, batch.corrupted)

    def passes() -> None:
        corrupted()
        x = embed(batch.clean).detach().requires_grad_()
        logits = model.hugging_face(inputs_embeds=x, use_cache=False).logits[:, -1]
        torch.autograd.grad(METRIC(logits, batch, logits).sum(), x)

    return passes


def estimates(model: LanguageModel, batch: Batch) -> dict[str, Callable[[], object]]:
    """Attribution patching of all nodes, with what mends it."""
    nodes = Nodes(NodeKind.all, model.shape, batch.n_positions)
    kinds = {
        "atp": AtPVariant(fix_softmax=False, cut=None),
        "atp, softmax fix": AtPVariant(fix_softmax=True, cut=None),
        "atp, GradDrop of blocks": AtPVariant(fix_softmax=False, cut=Cut.block),
        "atp star": AtPVariant(fix_softmax=True, cut=Cut.block),
    }
    return {
        name: partial(node_effects, model, batch, nodes, METRIC, variant, keep_first=True)
        for name, variant in kinds.items()
    }


def measurements(
    model: LanguageModel, batch: Batch
) -> dict[str, tuple[Callable[[], object], float]]:
    """Patched passes, and how many prompts' worth of nodes or sets each of them measures."""
    nodes = Nodes(NodeKind.attention, model.shape, batch.n_positions)
    clean = SiteRun.of(model, batch, keep_first=True)
    sets = torch.rand(SETS, 1, len(nodes), device=model.device) < 0.01

    def exhaustive() -> None:
        for layer in range(model.shape.n_layers):
            exact_node_effects(model, clean, nodes, layer, METRIC)

    study = configured("method", "component_ablation", draws=1)
    components = partial(study.study, problem(model, batch), [batch])
    return {
        "exhaustive patching, a node": (exhaustive, len(nodes)),
        "a set of nodes": (partial(set_effects, model, clean, nodes, sets, METRIC), SETS),
        "a component ablated": (components, model.graph.n_sources),
    }


def measure(model: LanguageModel, rounds: int) -> Timed:
    """The ratios of each operation."""

    def ratios(work: Callable[[], object], plain: Callable[[], object], rounds: int) -> list[float]:
        for _ in range(3):
            plain()
            work()
        device = model.device
        return [seconds(work, device) / seconds(plain, device) for _ in range(rounds)]

    batch = prompts(model, PROMPTS, N_TOKENS)
    unit, forward = gradient_passes(model, batch), plain_pass(model, batch.clean)
    kinds = estimates(model, batch)
    found = {name: ratios(work, unit, rounds) for name, work in kinds.items()}
    of_forward = {name: ratios(kinds[name], forward, rounds) for name in list(kinds)[:2]}
    pairs = zip(of_forward["atp, softmax fix"], of_forward["atp"], strict=True)
    found["softmax fix adds"] = [fixed - plain for fixed, plain in pairs]
    for name, (work, count) in measurements(model, batch).items():
        found[name] = [ratio / count for ratio in ratios(work, forward, max(3, rounds // 5))]
    return found


def loaded(name: str, device: str) -> LanguageModel:
    """A model of the zoo, or a random one of a size."""
    if name not in SIZES:
        return load_model(name, device=device)
    with tempfile.TemporaryDirectory() as folder:
        directory = save_random_model(Path(folder), random_config("gpt2", **SIZES[name]))
        return load_model(directory, device=device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", nargs="+", default=["toy_gpt2", "small"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    table, found = Table("operation", "model", "ratio", "quartiles", "bar"), {}
    for name in options.models:
        found[name] = measure(loaded(name, options.device), options.rounds)
        for operation, of_rounds in found[name].items():
            low, middle, high = (f"{np.quantile(of_rounds, q):.3g}" for q in (0.25, 0.5, 0.75))
            bar = str(BARS.get(operation, ""))
            table.add_row(operation, name, middle, f"{low}-{high}", bar)
    Console(width=max(Console().width, 100)).print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
