"""Rows of MIB's board, as its data set of results has them, beside the numbers of papers.

A row is a JSON file of one method: for each model and task ten sizes and ten faithfulness values,
of the circuits that CPR, and of those that CMD, is taken from (huggingface.co/datasets/mib-bench/
subgraph-results; the areas are the board's own sums over the ten shares).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import UserError
from benchmark.report.published.numbers import COLUMNS
from benchmark.statistics.areas import MIB_SHARES

SOURCE = "MIB board"
# The board's names, and ours.
MODELS = {
    "gpt2": "gpt2", "qwen2.5": "qwen2.5-0.5b", "gemma2": "gemma-2-2b", "llama3": "llama-3.1-8b",
}  # fmt: skip
TASKS = {
    "ioi": ("ioi_io_flip", "ioi"),
    "mcqa": ("colour_copying", "colour_copying"),
    "arithmetic_addition": ("arithmetic_addition_mib", "arithmetic"),
    "arithmetic_subtraction": ("arithmetic_subtraction_mib", "arithmetic"),
}


def board_rows(place: Path) -> pd.DataFrame:
    """The numbers of a file, or of all files of a folder, in the columns of `COLUMNS`.

    Raises:
        UserError: there is no such file, or one is no row of the board.
    """
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise UserError(f"board_rows={place} has no .json file; give rows of MIB's board")
    rows = [row for file in files for row in _rows(file)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        method = str(content["method_name"])
        for part in content["results"]:
            for task, scores in part["scores"].items():
                yield from _of_cell(file.name, method, part["model_id"], task, scores)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"board_rows: {file} is no row of MIB's board ({type(error).__name__}: {error})"
        ) from error


def _of_cell(
    where: str, method: str, model: str, task: str, scores: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The ten points and the area of each of both scores."""
    own, family = TASKS.get(task, (task, task))
    shared = {
        "source": SOURCE, "where": where, "model": MODELS.get(model, model), "task": own,
        "family": family, "method": method, "ablation": "counterfactual", "objective": "task",
        "provenance": "R",
    }  # fmt: skip
    for score, found in scores.items():
        sizes = np.array(found["edge_counts"], dtype=float)
        values = np.array(found["faithfulness"], dtype=float)
        if len(sizes) != len(MIB_SHARES) or len(values) != len(MIB_SHARES):
            raise ValueError(f"{len(sizes)} sizes and {len(values)} values, not ten of each")
        note = f"circuits of {score}"
        for size, value in zip(sizes, values, strict=True):
            yield {
                **shared, "method": f"{method}, {note}", "metric": "faithfulness",
                "size": f"{size:.0f}", "value": float(value), "note": note,
            }  # fmt: skip
        area = np.trapezoid(values if score == "CPR" else np.abs(1 - values), MIB_SHARES)
        yield {**shared, "metric": score.lower(), "size": "", "value": float(area), "note": note}
