"""What was measured as the rows of a record's table.

`part` says what a row is of: a layer of a group of places (`layer`), a number that says how sharply
a group is placed (`sharpness`), tokens of one kind in a layer over all facts (`token`), a token of
one fact in a layer (`prompt`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from benchmark.prompts.batch import Batch
from benchmark.statistics.bootstrap import interval_of_means
from methods.tracing.grid import Grid
from methods.tracing.indirect_effects import SHARPNESS, Lost, interval
from methods.tracing.measures import MEASURES, Measures
from methods.tracing.places import Group
from methods.tracing.tokens import TOKENS, token_kinds

Row = dict[str, Any]


def group_rows(
    measured: dict[Group, Measures], clean: Measures, *, paper_compat: bool
) -> Iterator[Row]:
    """Every layer of every group, and how sharply the group is placed.

    With `paper_compat` layer 0 is left out, the others are numbered from 0, and what corruption
    takes is pooled over the groups.
    """
    pooled = np.mean([found.probability.numpy()[:, -1] for found in measured.values()], axis=0)
    for group, found in measured.items():
        probability = found.probability.numpy()
        corrupted = pooled if paper_compat else probability[:, -1]
        first = 1 if paper_compat else 0
        lost = Lost.of(clean.probability.numpy(), probability[:, first:-1], corrupted)
        place = {
            "restored": group.restored.value,
            "window": group.width,
            "where": group.where.value,
        }
        resampled = lost.resampled()
        yield from _layer_rows(place, lost, resampled, found, clean, first)
        yield from _sharpness_rows(place, lost, resampled)


def _layer_rows(
    place: Row, lost: Lost, resampled: np.ndarray, found: Measures, clean: Measures, first: int
) -> Iterator[Row]:
    low, high = lost.delta_interval()
    boot_low, boot_high = interval(resampled)
    means = {name: getattr(found, name).mean((0, 2)) for name in MEASURES}
    levels = {f"clean_{name}": float(getattr(clean, name).mean()) for name in MEASURES}
    levels |= {f"corrupted_{name}": float(mean[-1]) for name, mean in means.items()}
    for layer, effect in enumerate(lost.effects()):
        yield {
            "part": "layer",
            **place,
            "layer": layer,
            "value": effect,
            "low": low[layer],
            "high": high[layer],
            "bootstrap_low": boot_low[layer],
            "bootstrap_high": boot_high[layer],
            **{name: float(mean[layer + first]) for name, mean in means.items()},
            **levels,
        }


def _sharpness_rows(place: Row, lost: Lost, resampled: np.ndarray) -> Iterator[Row]:
    for name, measure in SHARPNESS.items():
        low, high = interval(measure(resampled)[:, None])
        value = float(measure(lost.effects()[None])[0])
        yield {
            "part": "sharpness",
            **place,
            "measure": name,
            "value": value,
            "low": low[0],
            "high": high[0],
        }


def grid_rows(facts: Batch, grid: Grid) -> Iterator[Row]:
    """For each kind of token and layer, the mean over facts of the probability that comes back."""
    kinds = _kinds(facts)
    for (restored, width), found in grid.restored.items():
        regained = found.numpy() - grid.corrupted.numpy()[:, None, None]
        for token in TOKENS:
            rows = [
                regained[fact, [at for at, kind in of_fact.items() if kind == token]].mean(0)
                for fact, of_fact in enumerate(kinds)
                if token in of_fact.values()
            ]
            if not rows:
                continue
            by_layer = np.stack(rows, 1)
            low, high = interval_of_means(by_layer)
            for layer, value in enumerate(by_layer.mean(1)):
                yield {
                    "part": "token",
                    "restored": restored.value,
                    "window": width,
                    "token": token,
                    "layer": layer,
                    "value": value,
                    "low": low[layer],
                    "high": high[layer],
                }


def prompt_rows(
    tokenizer: PreTrainedTokenizerBase, facts: Batch, clean: Measures, grid: Grid, n_facts: int
) -> Iterator[Row]:
    """The grids of the first facts, with their tokens in words."""
    assert facts.subject is not None
    for fact in range(min(n_facts, len(facts))):
        start, stop = facts.subject[fact].tolist()
        levels = {
            "clean_probability": float(clean.probability[fact]),
            "corrupted_probability": float(grid.corrupted[fact]),
        }
        for (restored, width), found in grid.restored.items():
            for position in range(start, int(facts.read_at[fact]) + 1):
                word = str(tokenizer.decode([int(facts.clean[fact, position])]))
                for layer, value in enumerate(found[fact, position].tolist()):
                    yield {
                        "part": "prompt",
                        "restored": restored.value,
                        "window": width,
                        "fact": facts.ids[fact],
                        "position": position,
                        "token": f"{word}*" if start <= position < stop else word,
                        "layer": layer,
                        "value": value,
                        **levels,
                    }


def as_table(rows: list[Row]) -> pd.DataFrame:
    """Rows of all parts, with columns that some of them leave empty."""
    table = pd.DataFrame(rows)
    whole = [name for name in ("window", "layer", "position") if name in table]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _kinds(facts: Batch) -> list[dict[int, str]]:
    assert facts.subject is not None
    ends = zip(facts.subject.tolist(), facts.read_at.tolist(), strict=True)
    return [token_kinds(start, stop, read_at) for (start, stop), read_at in ends]
