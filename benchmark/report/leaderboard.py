"""The leaderboard: the tables of every kind of records, each compared by a report of its own.

They compare only what can be compared: cells of one column must share prompts, versions, sizes and
the recipe of the evaluation, and no cell may be missing, unless holes are allowed.
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from benchmark.files import Stems
from benchmark.report.frame import Results, load_kinds
from benchmark.report.kinds import of_each_kind, tables_of
from benchmark.report.layout.fitted import FittedTable
from benchmark.report.layout.tables import write_table
from benchmark.report.left_out import Shown
from benchmark.report.protocol import Asked
from benchmark.report.reference import Beside
from benchmark.report.score import Score


@dataclass(frozen=True)
class Leaderboard:
    """Settings of `ablation-bench leaderboard`; see conf/leaderboard.yaml."""

    results_dir: str
    experiment_name: str | None
    model_names: list[str] | None
    task_names: list[str] | None
    score: str
    at_share: float
    evaluation: str | None
    allow_missing: bool
    published: bool
    board_rows: str | None
    reference: bool
    directory: str

    def run(self) -> RenderableType:
        """Make the tables and write them as Markdown, CSV and LaTeX.

        Raises:
            UserError: there is nothing to compare, or what there is cannot be compared.
        """
        asked = Asked(
            Score(self.score, self.at_share),
            evaluation=self.evaluation,
            published=self.published or self.board_rows is not None,
            board_rows=self.board_rows,
            # What ships need not have all that was run.
            allow_missing=self.allow_missing or self.reference,
        )
        beside = Beside() if self.reference else None
        loaded = load_kinds(
            Path(self.results_dir), self.experiment_name, only=self._only(), beside=beside
        )
        stems = Stems()
        shown, refused = of_each_kind(loaded, lambda found: self._made(found, asked, stems))
        notes = beside.notes if beside is not None else []
        return Shown(*shown, *refused, *notes, left_out=next(iter(loaded.values())).left_out)

    def _only(self) -> dict[str, list[str]]:
        """The names that records must have."""
        asked = {"model": self.model_names, "task": self.task_names}
        return {kind: names for kind, names in asked.items() if names}

    def _made(self, results: Results, asked: Asked, stems: Stems) -> list[RenderableType]:
        """The tables of one kind, written, and where."""
        shown: list[RenderableType] = []
        for made in tables_of(results, asked):
            words = filter(None, [*made.words, self.experiment_name, *(self.model_names or [])])
            stem = Path(self.directory) / stems(*words)
            written = write_table(made.table if made.data is None else made.data, stem, made.note)
            shown += [FittedTable(made.table, made.title), *filter(None, [made.note])]
            shown += [f"written: {path}" for path in written]
        return shown
