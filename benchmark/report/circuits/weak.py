"""Where a model hardly does the task: circuits for what it does not do say little."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.records.record import LEAST_ACCURACY
from benchmark.report.frame import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = "†"
# Small letters in an inch of a picture.
LETTERS = 13


@dataclass(frozen=True)
class Weak:
    """Tasks and models, by their labels, with the lowest accuracy of their records."""

    accuracy: Mapping[tuple[str, str], float]

    @classmethod
    def of(cls, results: Results) -> "Weak":
        """Those of the finished records whose model is below `LEAST_ACCURACY`."""
        found: dict[tuple[str, str], float] = {}
        for record in results.done:
            if record.accuracy is not None and record.accuracy < LEAST_ACCURACY:
                label = results.labels[record.key]
                place = label["task"], label["model"]
                found[place] = min(record.accuracy, found.get(place, record.accuracy))
        return cls(found)

    def marked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows with a task and a model, the tasks of weak models with a mark."""
        places = zip(rows["task"], rows["model"], strict=True)
        tasks = [
            f"{task} {MARK}" if (task, model) in self.accuracy else task for task, model in places
        ]
        return rows.assign(task=tasks)

    def note(self, task: str | None = None, model: str | None = None) -> str:
        """The footnote to the mark, for all or for one task and model; nothing if none is weak."""
        listed = [
            f"{one} by {other} {accuracy:.2f}"
            for (one, other), accuracy in sorted(self.accuracy.items())
            if task in (None, one) and model in (None, other)
        ]
        if not listed:
            return ""
        return (
            f"{MARK} the whole model's accuracy is below {LEAST_ACCURACY:g}, so its circuits say "
            f"little of the task: {', '.join(listed)}"
        )

    def titled(self, title: str, task: str | None = None, model: str | None = None) -> str:
        """A title with the mark, where it is due."""
        return f"{title} {MARK}" if self.note(task, model) else title

    def noted(
        self, figure: "Figure", task: str | None = None, model: str | None = None
    ) -> "Figure":
        """A picture with the footnote below, where it is due."""
        return noted(figure, self.note(task, model))


def noted(figure: "Figure", *notes: str) -> "Figure":
    """A picture with footnotes below; empty ones are none."""
    lines = [fill(note, int(LETTERS * figure.get_figwidth())) for note in notes if note]
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=7)
    return figure
