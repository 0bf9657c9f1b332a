"""All pictures of circuits: curves, recovery, costs, a map of scores, and circuits drawn."""

from collections.abc import Iterator

import pandas as pd

from benchmark.records.names import option
from benchmark.records.record import SHORT
from benchmark.report.circuits.drawing import draw_edges, readable_circuit
from benchmark.report.circuits.faithfulness import faithfulness_against_size
from benchmark.report.circuits.noise import Noise
from benchmark.report.circuits.plots import (
    ablations_compared,
    gap_against_size,
    has_points,
    quality_against_cost,
    score_map,
)
from benchmark.report.circuits.roc import roc
from benchmark.report.circuits.scores import column_names, row_names, score_table
from benchmark.report.circuits.weak import Weak, noted
from benchmark.report.comparable import refuse_incomparable
from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure
from benchmark.report.published.belonging import published_model
from benchmark.report.published.numbers import published_curves, published_faithfulness
from benchmark.report.score import Score

# A picture of more edges shows nothing and takes long; circuits of neurons touch many.
MOST_EDGES_DRAWN = 1000


def figures(results: Results, asked: Asked) -> Iterator[ReportFigure]:
    """Every picture that there is something to show in.

    Raises:
        UserError: records cannot be compared.
    """
    refuse_incomparable(results, results.tables, allow_missing=asked.allow_missing)
    weak = Weak.of(results)
    yield from _curves(results, weak, published=asked.published)
    yield from _faithfulness(results, weak, asked)
    yield from _rocs(results, weak)
    yield from _ablations(results, weak)
    yield from _scores(results, weak, asked.score)
    if asked.circuits:
        yield from _circuits(results, weak)


def _curves(results: Results, weak: Weak, *, published: bool) -> Iterator[ReportFigure]:
    for place, rows in results.tables.groupby(["task", "model", "evaluation"]):
        task, model, evaluation = map(str, place)
        if not has_points(rows):
            continue
        rows = rows.assign(method=row_names(rows))
        reported = None
        if published:
            reported = published_curves(task, _published_model(results, rows), evaluation)
        title = weak.titled(f"{task}, {model}, {evaluation} ablation", task, model)
        figure = gap_against_size(rows, title, reported)
        figure = weak.noted(figure, task, model)
        yield ReportFigure(("gap", task, model, evaluation), figure, rows)


def _faithfulness(results: Results, weak: Weak, asked: Asked) -> Iterator[ReportFigure]:
    measured = results.tables[results.tables["size"] > 0]
    curves, noise = measured.dropna(subset="faithfulness"), Noise.of(results)
    for place, rows in curves.groupby(["task", "model", "evaluation"]):
        task, model, evaluation = map(str, place)
        areas = [results.records[key].areas[evaluation] for key in rows["key"]]
        rows = rows.assign(
            method=row_names(rows),
            cpr=[area["cpr"] for area in areas],
            cmd=[area["cmd"] for area in areas],
        )
        reported = None
        if asked.published:
            known, n_edges = _published_model(results, rows), int(rows["n_edges"].iloc[0])
            more = asked.more_published
            reported = published_faithfulness(task, known, evaluation, n_edges, more)
        title = weak.titled(f"{task}, {model}, {evaluation} ablation", task, model)
        figure = faithfulness_against_size(rows, title, reported)
        figure = noted(figure, weak.note(task, model), noise.note((task, model, evaluation)))
        yield ReportFigure(("faithfulness", task, model, evaluation), figure, rows)


def _rocs(results: Results, weak: Weak) -> Iterator[ReportFigure]:
    """One for each ablation of the search: what circuits are evaluated under changes none."""
    if "edge_recall" not in results.tables:
        return
    known = results.tables.dropna(subset="edge_recall")
    known = known[known["method"].str.split(" ").str[0] != "reference"]
    once = known.drop_duplicates(["key", "circuit"])
    for place, rows in once.groupby(["task", "model", "ablation"]):
        task, model, ablation = map(str, place)
        title = f"{task}, {model}: circuits found under {ablation} ablation"
        figure = roc(rows, weak.titled(title, task, model))
        figure = weak.noted(figure, task, model)
        yield ReportFigure(("roc", task, model, ablation), figure, rows)


def _ablations(results: Results, weak: Weak) -> Iterator[ReportFigure]:
    for place, rows in results.tables.groupby(["task", "model", "method"]):
        task, model, method = map(str, place)
        own = rows[rows["ablation"] == rows["evaluation"]]
        if own["evaluation"].nunique() > 1 and has_points(own):
            title = weak.titled(f"{task}, {model}: {method}", task, model)
            figure = ablations_compared(own, title)
            figure = weak.noted(figure, task, model)
            yield ReportFigure(("ablations", task, model, method), figure, own)


def _scores(results: Results, weak: Weak, score: Score) -> Iterator[ReportFigure]:
    scores = score_table(results, score).dropna(subset="value")
    if scores.empty:
        return
    for (evaluation, part), rows in scores.groupby(["evaluation", "part"]):
        rows = rows.assign(method=row_names(rows))
        title = f"{evaluation} ablation" + (f", {part}" if part else "")
        figure = quality_against_cost(rows, score.title, weak.titled(title))
        words = filter(None, ("cost", score.name, evaluation, part))
        yield ReportFigure(tuple(words), weak.noted(figure), rows)
    scores = weak.marked(scores)
    named = scores.assign(column=column_names(scores), row=row_names(scores))
    table = named.pivot_table(index="row", columns="column", values="value", aggfunc="mean")
    title = weak.titled("all results")
    figure = score_map(table, score.title, title, score.lower_is_better)
    yield ReportFigure(("map", score.name), weak.noted(figure), table.reset_index())


def _circuits(results: Results, weak: Weak) -> Iterator[ReportFigure]:
    for record in results.done:
        label = results.labels[record.key]
        if option(record, "method") == "random":
            continue
        names, edges = readable_circuit(results.paths[record.key])
        if len(edges) > MOST_EDGES_DRAWN:
            continue
        title = "{task}, {model}: {method} under {ablation} ablation".format(**label)
        title = weak.titled(title, label["task"], label["model"])
        place = (label[axis] for axis in ("task", "model", "ablation", "method"))
        words = "circuit", *place, f"seed{record.config['seed']}", record.key[:SHORT]
        figure = weak.noted(draw_edges(edges, names, title), label["task"], label["model"])
        yield ReportFigure(words, figure, edges)


def _published_model(results: Results, rows: pd.DataFrame) -> str | None:
    """The published model that all these rows are of, if they are of one."""
    found = {published_model(results.records[key]) for key in rows["key"].unique()}
    return found.pop() if len(found) == 1 else None
