"""Time causal tracing in multiples of the naive way: a whole forward pass for every run.

    .venv/bin/python scripts/bench_tracing.py [--json FILE] [--shapes small_gpt2,deep] [--rounds 3]

The naive way runs, for L layers, L + 2 whole passes over the facts: clean, corrupted, and one for
each layer that is restored. The first figures are of all layers of one kind and window at one
place, with the clean and the corrupted run; the others of a training step of all constants, forward
and backward. Facts are those of `facts_made_up`, the models random: one of the shape of
`small_gpt2`, and one as deep as GPT-2 XL and narrow. Times are of the processor, the least of the
rounds; beside them stand the multiply-adds of matrix products in the same multiples, which no other
work on the machine changes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config import configured
from benchmark.effects.tracing.restoring import restored_logits
from benchmark.effects.tracing.subjects import first_positions, with_subjects
from benchmark.effects.tracing.trace import Restored, changed_trace, clean_trace
from benchmark.forward.passes import clean_logits
from benchmark.memory import keep_freed_memory
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.prompts.batch import Batch
from benchmark.prompts.task import Split
from benchmark.zoo.cards import zoo_directory
from methods.tracing.constants import ConstantTraining, Recipe
from methods.tracing.places import Group, Where

SHAPES = {
    "small_gpt2": dict(n_layers=4, n_heads=8, d_model=128, d_mlp=512),
    "deep": dict(n_layers=48, n_heads=4, d_model=64, d_mlp=256),
}
BARS = {"restoring": 0.6, "training": 3.0}
FACTS, TRAINING_FACTS = 64, 20
TOKENIZER = "facts_llama"
Row = dict[str, str | int | float]


def main() -> None:
    """Measure and print a table; with --json write the numbers too."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    shapes = arguments.shapes.split(",")
    rows = [{"shape": shape} | row for shape in shapes for row in measured(shape, arguments.rounds)]
    shown = Table(
        "shape", "operation", "restored", "window", "tokens", "naive passes", "multiply-adds", "bar"
    )
    for row in rows:
        place = (row[name] for name in ("shape", "operation", "restored", "window", "tokens"))
        numbers = (f"{row[name]:.2f}" for name in ("ratio", "arithmetic"))
        shown.add_row(*map(str, place), *numbers, str(BARS[row["operation"]]))
    Console().print(shown)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1))


def measured(shape: str, rounds: int) -> list[Row]:
    """The figures of one shape, the least times of so many rounds."""
    model, facts = model_and_facts(SHAPES[shape])
    n_runs = model.shape.n_layers + 2
    few = facts.select(torch.arange(TRAINING_FACTS)).trimmed()
    naive = {len(x): costs(lambda x=x: plain(model, x), rounds) for x in (facts, few)}

    def row(operation: str, group: Group, spent: tuple[float, float], n_facts: int) -> Row:
        ratio, arithmetic = (
            mine / (n_runs * one) for mine, one in zip(spent, naive[n_facts], strict=True)
        )
        place = group.restored.value, group.width, group.where.value
        named = dict(zip(("restored", "window", "tokens"), place, strict=True))
        return {"operation": operation, **named, "ratio": ratio, "arithmetic": arithmetic}

    rows = []
    for group in groups():
        spent = costs(lambda group=group: restored(model, facts, group), rounds)
        rows.append(row("restoring", group, spent, FACTS))
        if group.width == 1 and group.restored is not Restored.mlp:
            spent = step_costs(model, few, group, rounds)
            rows.append(row("training", group, spent, TRAINING_FACTS))
    return rows


def groups() -> list[Group]:
    """States, and windows of attention and MLPs, at three places."""
    kinds = [(Restored.state, 1)]
    kinds += [(part, width) for part in (Restored.attention, Restored.mlp) for width in (1, 5)]
    return [Group(part, width, where) for part, width in kinds for where in Where]


def model_and_facts(sizes: dict[str, int]) -> tuple[LanguageModel, Batch]:
    """A random GPT-2 of these sizes, and facts in its tokens."""
    tokenizer = load_model(str(zoo_directory(TOKENIZER)), device="cpu", check=False).tokenizer
    config = random_config("gpt2", **sizes, d_vocab=len(tokenizer), n_ctx=32)
    with tempfile.TemporaryDirectory() as directory:
        model = load_model(save_random_model(directory, config), device="cpu", check=False)
    return model, configured("task", "facts_made_up").batch(tokenizer, Split.train, FACTS)


@torch.no_grad()
def plain(model: LanguageModel, facts: Batch) -> None:
    """One whole forward pass."""
    clean_logits(model, facts.clean, facts.read_at)


@torch.no_grad()
def restored(model: LanguageModel, facts: Batch, group: Group) -> None:
    """The clean run, the corrupted run, and one for each restored layer."""
    first = first_positions(facts)
    clean = clean_trace(model, facts)
    zero = torch.zeros(1, 1, 1, model.shape.d_model)
    streams = with_subjects(model, facts, zero)
    corrupted = changed_trace(model, facts, clean, streams, first)
    asked = group.restoration(facts, group.layers(model.shape.n_layers))
    restored_logits(model, facts, clean, corrupted, asked)


def step_costs(
    model: LanguageModel, facts: Batch, group: Group, rounds: int
) -> tuple[float, float]:
    """A training step of all constants of a group: the difference that one more step makes."""
    layers = (*group.layers(model.shape.n_layers), frozenset())

    def steps(number: int) -> Callable[[], object]:
        recipe = Recipe(number, 0.01, len(facts), seed=0, shared=False)
        training = ConstantTraining(model, facts, group, layers, recipe)
        return lambda: training.trained(None)

    two, one = costs(steps(2), rounds), costs(steps(1), rounds)
    return two[0] - one[0], two[1] - one[1]


def costs(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The least processor time of the rounds, and the multiply-adds of one before them."""
    with FlopCounterMode(display=False) as counter:
        work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times), float(counter.get_total_flops())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
