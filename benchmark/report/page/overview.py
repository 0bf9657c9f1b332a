"""The overview of circuits: every score of every cell, and their curves with what papers published.

Nothing is averaged or ranked here: a row is one record under one evaluation ablation.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.records.record import Record
from benchmark.report.circuits.cell_scores import CellScores
from benchmark.report.circuits.noise import Noise
from benchmark.report.circuits.weak import Weak
from benchmark.report.comparable import refuse_incomparable
from benchmark.report.frame import Results
from benchmark.report.layout.looks import DASHES, look
from benchmark.report.page.numbers import short
from benchmark.report.published.belonging import published_model
from benchmark.report.published.numbers import published_curves, published_faithfulness
from benchmark.report.score import PARTS, SCORES, Score

# Vega's names of our marks; it has no X, and fills a path that is drawn within a square.
X = "M-1-.6-.6-1 0-.4.6-1 1-.6.4 0 1 .6.6 1 0 .4-.6 1-1 .6-.4 0Z"
SHAPES = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross", "X": X, "<": "triangle-left", ">": "triangle-right",
}  # fmt: skip
# Lengths of dashes and gaps in pixels.
STROKES = {
    "solid": [], "dashed": [6, 3], "dashdot": [6, 3, 2, 3], "long": [10, 3],
    "double": [8, 2, 2, 2, 2, 2],
}  # fmt: skip
assert STROKES.keys() == DASHES.keys()
POINT = ("size", "loss_gap", "loss_gap_low", "loss_gap_high", "faithfulness")


def overview(results: Results, at_share: float) -> dict[str, Any]:
    """What the first page shows of circuits.

    Args:
        results: of circuits.
        at_share: for scores at one size, the largest, as a share of all edges.
    """
    names = [name for name in SCORES if name not in PARTS]
    scores = [Score(name, at_share) for name in names]
    cells = list(_cells(results, scores))
    methods = {cell["method"] for cell in cells}
    published = list(_published(results))
    return {
        "scores": [
            {"name": one.name, "title": one.title, "lower": one.lower_is_better} for one in scores
        ],
        "cells": cells,
        "published": published,
        "looks": {name: _look(name) for name in sorted(methods | {p["method"] for p in published})},
        "notes": _notes(results),
    }


def _cells(results: Results, scores: list[Score]) -> Iterator[dict[str, Any]]:
    known, curves = CellScores(results), dict(iter(results.tables.groupby(["key", "evaluation"])))  # pyright: ignore
    weak = Weak.of(results).accuracy
    for record in results.done:
        label, cost = results.labels[record.key], record.cost["method"]
        for evaluation in record.areas:
            yield {
                "key": record.key,
                **label,
                "evaluation": evaluation,
                "seed": record.config["seed"],
                "weak": short(weak.get((label["task"], label["model"]))),
                "passes": short(cost["forward"] + cost["backward"]),
                "seconds": short(cost["seconds"]),
                "n_edges": record.n_edges,
                "scores": {s.name: _score(known, record, evaluation, s) for s in scores},
                "curve": _points(curves[record.key, evaluation], record),
            }


def _score(
    known: CellScores, record: Record, evaluation: str, score: Score
) -> list[int | float | None]:
    return [short(x) for x in known.value(record, evaluation, score.name, score.at_share)]


def _points(rows: pd.DataFrame, record: Record) -> list[list[Any]]:
    """Every circuit that has a place on log axes: size, gap and its interval, faithfulness."""
    inside = rows[(rows["size"] > 0) & (rows["size"] < record.n_edges)].sort_values("size")
    numbers = [inside.get(name, pd.Series(None, inside.index)) for name in POINT]
    columns = [[short(x) for x in column] for column in numbers]
    return [list(row) for row in zip(*columns, inside["setting"].map(str), strict=True)]


def _published(results: Results) -> Iterator[dict[str, Any]]:
    """The published points of the tasks, models and ablations that are there."""
    for place, rows in results.tables.groupby(["task", "model", "evaluation"]):
        task, model, evaluation = map(str, place)
        known = {published_model(results.records[key]) for key in rows["key"].unique()}
        if len(known) > 1 or None in known:
            continue
        (of,), n_edges = known, int(rows["n_edges"].iloc[0])
        gaps = published_curves(task, of, evaluation).assign(measure="loss_gap")
        faithful = published_faithfulness(task, of, evaluation, n_edges)
        faithful = faithful.assign(measure="faithfulness")
        for found in (gaps, faithful):
            for row in found.to_dict("records"):
                yield {
                    "task": task, "model": model, "evaluation": evaluation,
                    "method": row["method"], "measure": row["measure"],
                    "size": short(row["size"]), "value": short(row[row["measure"]]),
                }  # fmt: skip


def _look(method: str) -> dict[str, Any]:
    own = look(method)
    return {"colour": own.colour, "shape": SHAPES[own.mark], "dash": STROKES[own.dash]}


def _notes(results: Results) -> list[str]:
    """What a reader should know before comparing."""
    notes = [Weak.of(results).note(), Noise.of(results).note()]
    try:
        refuse_incomparable(results, results.tables, allow_missing=True)
    except UserError as error:
        notes.append(f"Not all of these may be compared: {error}")
    return [note for note in notes if note]
