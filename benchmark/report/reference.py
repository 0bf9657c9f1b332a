"""The records that ship, which a user's own may be compared with.

Of them a board takes what shares a task, a model, an ablation and a seed with the user's, and was
run alike; what differs is said.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.records.record import TASK, Record, Status
from benchmark.report.frame import Whole, read_whole

# Made by scripts/reference_results.py.
REFERENCE = Path(__file__).resolve().parents[1] / "reference_results"
Column = tuple[str, str, str, str, int]
# What both sides can be told of, before digests, of which a reader learns only that they differ.
TOLD = ("n_train", "n_test", "sizes", "version of ablation-bench", "version of the task")


@dataclass
class Beside:
    """The records that ship and may stand beside others; what was left out is in `notes`."""

    place: Path = REFERENCE
    notes: list[str] = field(default_factory=list)

    def __call__(self, own: Sequence[Whole]) -> tuple[list[Whole], tuple[str, ...]]:
        """Those that share a column with one's own, and a line for each that is damaged.

        Without any of one's own they are all that ship.
        """
        shipped, damaged = read_whole(self.place, None)
        if not own:
            return shipped, damaged
        columns: dict[Column, list[Record]] = defaultdict(list)
        for _, record in own:
            columns[_column(record)].append(record)
        added: list[Whole] = []
        refused: dict[tuple[Column, str], int] = defaultdict(int)
        for folder, record in shipped:
            mine = columns.get(_column(record), [])
            if not mine or _is_there(record, mine):
                continue
            why = differences(_facts(record), _facts(mine[0]))
            if why:
                refused[_column(record), why] += 1
            else:
                added.append((folder, record))
        self.notes += [
            f"{number} of the records that ship, of {_words(column)}, are left out: {why}"
            for (column, why), number in refused.items()
        ]
        lonely = columns.keys() - {_column(record) for _, record in shipped}
        if lonely:
            of_kind = [r for _, r in shipped if r.kind in {column[0] for column in lonely}]
            self.notes.append(_nothing(lonely, of_kind))
        return added, damaged


def differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """What two records that share a column differ in, in words; nothing if in nothing."""
    unlike = [what for what in theirs if what in mine and theirs[what] != mine[what]]
    told = [f"{what} {theirs[what]} there, {mine[what]} here" for what in unlike if what in TOLD]
    return ", ".join(told or [f"other {what}" for what in unlike])


def _facts(record: Record) -> dict[str, Any]:
    """What records of one column must share; what a record knows nothing of is not there."""
    config = record.config
    sizes = sorted(map(str, config["sizes"]))
    return {
        **{name: config[name] for name in ("n_train", "n_test")},
        **({"sizes": ", ".join(sizes)} if sizes else {}),
        "version of ablation-bench": record.versions.get("ablation-bench"),
        "version of the task": record.versions.get("task"),
        "task data": record.data.get(TASK),
        "prompts": {name: of for name, of in record.data.items() if name != TASK},
        "model files": record.model.get("files"),
        **{f"recipe of {name}": recipe for name, recipe in record.evaluation.items()},
    }


def _is_there(record: Record, mine: Iterable[Record]) -> bool:
    """Whether the user's own has this cell, which then counts."""
    return any(
        record.key == one.key or record.names["method"] == one.names["method"] for one in mine
    )


def _column(record: Record) -> Column:
    names = record.names
    seed = record.config["seed"]
    return record.kind, names["task"], names["model"], names["ablation"], seed


def _words(column: Column) -> str:
    _, task, model, ablation, seed = column
    return f"{task} on {model} under {ablation} with seed={seed}"


def _nothing(lonely: Iterable[Column], shipped: Iterable[Record]) -> str:
    """That nothing ships for some columns, and what does."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for record in shipped:
        if record.status is Status.done:
            names = record.names
            seeds[f"{names['task']} on {names['model']} under {names['ablation']}"].add(
                record.config["seed"]
            )
    known = [f"{place} (seed {', '.join(map(str, sorted(of)))})" for place, of in seeds.items()]
    return (
        f"nothing ships of {', '.join(map(_words, sorted(lonely)))}; what ships is of "
        f"{', '.join(sorted(known)) or 'other kinds'}"
    )
