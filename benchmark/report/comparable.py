"""What may stand in one table: checks that refuse holes, mixtures and duplicates."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.records.names import AXES
from benchmark.records.record import TASK, Record, Status
from benchmark.report.frame import Results

Facts = dict[tuple[Any, ...], Any]
CELL = [*AXES, "evaluation", "seed", "key"]
ALONE = "choose one experiment_name"
ALONE_OR_MISSING = f"{ALONE}, or add --allow-missing"


def refuse_incomparable(results: Results, rows: pd.DataFrame, *, allow_missing: bool) -> None:
    """Check that rows may stand in one table or picture, and that none is missing.

    Args:
        results: all records.
        rows: of scores or of curves, with the columns task, model, ablation, method, evaluation,
            seed and key.
        allow_missing: whether rows may be missing.

    Raises:
        UserError: they may not.
    """
    cells = rows.drop_duplicates(CELL)[CELL]
    refuse_mixtures(results, cells)
    # A record that is left out has left a hole, which is told, and spoils no other.
    if not allow_missing and not results.left_out:
        refuse_holes(results, cells)


def refuse_mixtures(results: Results, rows: pd.DataFrame) -> None:
    """Check that what is put side by side, or averaged over seeds, differs in nothing else.

    Args:
        results: of circuits.
        rows: the columns task, model, ablation, method, evaluation, seed and key, once each.

    Raises:
        UserError: a cell and seed is there twice, or was run differently from its neighbours.
    """
    _refuse_duplicates(rows)
    _refuse_differences_of_columns(results, rows)


def refuse_holes(results: Results, scores: pd.DataFrame) -> None:
    """Check that every method has every column.

    Raises:
        UserError: a record failed or is missing.
    """
    _refuse_missing(results, scores)


def _refuse_duplicates(scores: pd.DataFrame) -> None:
    cell = [*AXES, "evaluation", "seed"]
    twice = scores[scores.duplicated(cell, keep=False)].sort_values(cell)
    if len(twice):
        one, two = twice["key"].iloc[:2]
        raise UserError(
            f"records {one} and {two} are of one cell and seed, run with different settings; "
            f"delete one, or {ALONE}"
        )


def _refuse_differences_of_columns(results: Results, scores: pd.DataFrame) -> None:
    def facts() -> Iterator[tuple[str, Facts]]:
        for row in scores.itertuples(index=False):
            record = results.records[row.key]
            column = row.task, row.model, row.evaluation
            shared = _shared(record, row.evaluation).items()
            yield (
                row.key,
                {
                    (*column, row.seed, "prompts"): record.data,
                    **{(*column, what): value for what, value in shared},
                    (row.task, row.model, "task data"): record.data.get(TASK),
                    (row.method, "method version"): record.versions["method"],
                },
            )

    refuse_differences(results, facts(), f"run them alike, or {ALONE}")


def refuse_differences(results: Results, facts: Iterable[tuple[str, Facts]], advice: str) -> None:
    """Check that records say the same of everything that they share.

    Args:
        results: all records.
        facts: the key of each record, and what it says; the last word of a name is shown.
        advice: what to do if they do not.

    Raises:
        UserError: two of them do not.
    """
    seen: dict[tuple[Any, ...], tuple[Any, str]] = {}
    for key, shared in facts:
        for place, value in shared.items():
            before, other = seen.setdefault(place, (value, key))
            if before != value:
                label = results.labels[key]
                raise UserError(
                    f"records {other} and {key} of {label['task']} on {label['model']} have "
                    f"different {place[-1]}: {advice}"
                )


def _shared(record: Record, evaluation: str) -> dict[str, Any]:
    config, recipe = record.config, record.evaluation.get(evaluation)
    # AUROCs stand under the ablation of the search, which need not be one of the evaluation; some
    # methods choose their own sizes.
    sizes = sorted(map(str, config["sizes"]))
    optional = {f"recipes of {evaluation}": recipe, "sizes": sizes or None}
    return {what: value for what, value in optional.items() if value is not None} | {
        "task versions": record.versions["task"],
        "versions of ablation-bench": record.versions["ablation-bench"],
        "model files": record.model["files"],
    }


def _refuse_missing(results: Results, scores: pd.DataFrame) -> None:
    states: dict[tuple[Any, ...], set[Status]] = defaultdict(set)
    for record in results.records.values():
        label = results.labels[record.key]
        states[(*_column(label, record), label["method"])].add(record.status)
    finished = {place[:3] for place, found in states.items() if Status.done in found}
    columns = dict.fromkeys(place[:-1] for place in states)
    methods = dict.fromkeys(place[-1] for place in states)
    evaluations = {
        key: set(rows["evaluation"]) for key, rows in scores.groupby(["task", "model", "ablation"])
    }
    present = {tuple(row) for row in scores[[*_PLACE, "evaluation"]].itertuples(index=False)}
    missing = []
    for column in columns:
        for method in methods:
            found = states[(*column, method)]
            if Status.done not in found and Status.skipped in found:
                continue
            # What is finished but has no scores belongs to an evaluation that was not asked for.
            wanted = evaluations.get(column[:3], set() if column[:3] in finished else {None})
            missing += [
                (method, column, "failed" if Status.failed in found else "missing")
                for evaluation in wanted
                if (*column, method, evaluation) not in present
            ]
    if missing:
        method, (task, model, ablation, seed), what = missing[0]
        raise UserError(
            f"{len(missing)} cells are missing or failed, the first: method={method} task={task} "
            f"model={model} ablation={ablation} seed={seed} is {what}; run it, {ALONE_OR_MISSING}"
        )


_PLACE = ["task", "model", "ablation", "seed", "method"]


def _column(label: dict[str, str], record: Record) -> tuple[Any, ...]:
    return label["task"], label["model"], label["ablation"], record.config["seed"]
