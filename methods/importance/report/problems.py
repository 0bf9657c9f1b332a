"""What studies of nodes were asked and with which settings: what may stand side by side.

Methods that rank nodes compete where all that decides the true ranking is the same: task, model and
ablation, the nodes, and the pairs of prompts. All else that a label says is a setting of a method's
own, of which the best may be chosen.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.records.names import option
from benchmark.records.record import Record
from benchmark.report.frame import Results

# Settings of a method that say what is asked, and what a pass costs, not how it is answered.
OF_NODES = ("nodes", "positions", "direction", "abs_inside", "backward_price")
# Settings that change no estimate.
OF_ESTIMATION = ("judge", "repeats", "batch_size")
OF_CELL = ("attribution_metric", "n_train")
LABELS = ("task", "model", "ablation")
IN_EVERY_TITLE = ("task", "model", "nodes", "positions", "direction", "n_train")
NODES = {"attention": "attention nodes", "neurons": "neurons", "all": "all nodes"}
POSITIONS = {"each": "at each position", "all": "over all positions"}


def problems(results: Results, records: Sequence[Record]) -> pd.DataFrame:
    """A row for each of these finished records, one or more.

    The columns are key, seed, method (its name), setting (its name with settings of its own), place
    (what tells the problem from the others, or its task), shared (what it has in common with all
    others), title, and words (for names of files).

    Raises:
        UserError: two records are of one cell, or methods saw different prompts.
    """
    asked = pd.DataFrame([_asked(results, record) for record in records])
    varying = [name for name in asked if asked[name].nunique() > 1]
    rows = [_row(results, record) for record in records]
    frame = pd.DataFrame(rows).assign(
        place=[_joined(one, varying or ["task"], " / ") for one in _each(asked)],
        shared=[_shared(one, varying) for one in _each(asked)],
        title=[_title(one, varying) for one in _each(asked)],
        words=[_words(one, varying) for one in _each(asked)],
    )
    _refuse_two_of_one_cell(frame)
    _refuse_other_prompts(results, frame)
    return frame


def headed(known: pd.DataFrame, title: str) -> str:
    """A title below what these problems have in common."""
    shared = known["shared"].iloc[0]
    return f"{shared}\n{title}" if shared else title


def is_judged(record: Record) -> bool:
    """Whether a record says how good its estimates are, and does not only give them."""
    return record.config["method"].get("judge", True)


def not_judged(results: Results) -> list[Record]:
    """The finished records of estimates alone that none judges, not with another seed either."""
    judged = {_estimate(results, record) for record in results.done if is_judged(record)}
    alone = (record for record in results.done if not is_judged(record))
    return [record for record in alone if _estimate(results, record) not in judged]


def _estimate(results: Results, record: Record) -> tuple[str, ...]:
    """What is estimated, and how."""
    return *_asked(results, record).values(), _row(results, record)["setting"]


def _asked(results: Results, record: Record) -> dict[str, str]:
    """All that decides the true ranking."""
    labels, config = results.labels[record.key], record.config
    found: dict[str, Any] = {name: _without(labels[name], OF_CELL) for name in LABELS}
    found |= {name: config["method"].get(name) for name in OF_NODES}
    found |= {name: config.get(name) for name in OF_CELL}
    return {name: "" if value is None else str(value) for name, value in found.items()}


def _row(results: Results, record: Record) -> dict[str, Any]:
    label = results.labels[record.key]["method"]
    name, setting = option(record, "method"), _without(label, OF_NODES + OF_CELL + OF_ESTIMATION)
    return dict(key=record.key, seed=record.config["seed"], method=name, setting=setting)


def _without(label: str, settings: Sequence[str]) -> str:
    """A label without the words of these settings."""
    return " ".join(word for word in label.split(" ") if word.split("=")[0] not in settings)


def _each(asked: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(name): value for name, value in one.items()} for one in asked.to_dict("records")]


def _joined(asked: dict[str, str], names: list[str], by: str) -> str:
    return by.join(_in_words(name, asked[name]) for name in names if asked[name])


def _in_words(name: str, value: str) -> str:
    if name == "n_train":
        return "1 pair" if value == "1" else f"{value} pairs"
    if name == "positions":
        return POSITIONS.get(value, value)
    return value if name in (*LABELS, "nodes", "direction") else f"{name}={value}"


def _shared(asked: dict[str, str], varying: list[str]) -> str:
    in_full = asked | {"nodes": NODES.get(asked["nodes"], asked["nodes"])}
    return _joined(in_full, [name for name in IN_EVERY_TITLE if name not in varying], ", ")


def _title(asked: dict[str, str], varying: list[str]) -> str:
    nodes = NODES.get(asked["nodes"], asked["nodes"])
    where = POSITIONS.get(asked["positions"], asked["positions"])
    rest = [name for name in varying if name not in IN_EVERY_TITLE]
    words = _joined(asked, ["direction", "n_train", *rest], ", ")
    return f"{asked['task']}, {asked['model']}: {nodes} {where}, {words}"


def _words(asked: dict[str, str], varying: list[str]) -> tuple[str, ...]:
    names = [*("task", "model", "nodes"), *varying]
    return tuple(filter(None, (_joined(asked, [name], "") for name in dict.fromkeys(names))))


def _refuse_two_of_one_cell(frame: pd.DataFrame) -> None:
    twice = frame[frame.duplicated(["place", "setting", "seed"], keep=False)]
    if len(twice):
        one, two = twice.sort_values(["place", "setting", "seed"])["key"].iloc[:2]
        raise UserError(
            f"records {one} and {two} are of one method, problem and seed, run with different "
            "settings or versions; delete one, or choose one experiment_name"
        )


def _refuse_other_prompts(results: Results, frame: pd.DataFrame) -> None:
    for (place, seed), rows in frame.groupby(["place", "seed"]):
        seen: dict[tuple[str, str], str] = {}
        for record in (results.records[key] for key in rows["key"]):
            seen.setdefault((record.data["train"], str(record.model["files"])), record.key)
        if len(seen) > 1:
            one, two = list(seen.values())[:2]
            raise UserError(
                f"records {one} and {two} of {place}, seed {seed}, saw different prompts or model "
                "files; run them alike, or choose one experiment_name"
            )
