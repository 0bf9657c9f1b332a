"""Where the empty circuit and the whole model are no further apart than their noise.

There normalised faithfulness, and the areas under it, divide by what may be nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmark.records.record import DIFFERENCE, FAITHFUL_IN
from benchmark.report.frame import Results
from benchmark.report.score import NORMALISED, Score

MARK = "‡"


@dataclass(frozen=True)
class Noise:
    """Columns of a table, by task, model and evaluation ablation, with their ends' distance."""

    distance: Mapping[tuple[str, str, str], tuple[float, float, float]]

    @classmethod
    def of(cls, results: Results, score: Score | None = None) -> "Noise":
        """Those of the finished records; none where a score does not divide by the distance."""
        found = {}
        for record in results.done if score is None or score.name in NORMALISED else ():
            label = results.labels[record.key]
            for evaluation, ends in record.ends.items():
                # Records of earlier code do not say.
                known = ends.get(DIFFERENCE, {})
                value, low, high = (
                    known.get(f"{FAITHFUL_IN}{x}", 1.0) for x in ("", "_low", "_high")
                )
                if low <= 0 <= high:
                    found[label["task"], label["model"], evaluation] = value, low, high
        return cls(found)

    def marks(self, rows: pd.DataFrame) -> list[str]:
        """What follows the task of each row with a task, a model and an evaluation."""
        places = zip(rows["task"], rows["model"], rows["evaluation"], strict=True)
        return [f" {MARK}" if place in self.distance else "" for place in places]

    def note(self, only: tuple[str, str, str] | None = None) -> str:
        """The footnote to the mark, for all columns or one; nothing if none has it."""
        listed = [
            f"{task} by {model} under {evaluation} {value:.3g} [{low:.3g}, {high:.3g}]"
            for (task, model, evaluation), (value, low, high) in sorted(self.distance.items())
            if only in (None, (task, model, evaluation))
        ]
        if not listed:
            return ""
        return (
            f"{MARK} normalised faithfulness means nothing where the whole model's logit difference"
            f" may equal the empty circuit's; it is above by {', '.join(listed)}: compare by "
            "score=ndf or score=log_area"
        )
