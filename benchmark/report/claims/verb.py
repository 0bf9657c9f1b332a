"""The verb `claims`: what papers claim beside what the records say, from records alone."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from benchmark.report.claims.claim import claim, claims
from benchmark.report.claims.tables import table_of
from benchmark.report.claims.verdicts import Row, rows_of
from benchmark.report.frame import load_kinds
from benchmark.report.layout.fitted import FittedTable
from benchmark.report.layout.tables import write_table
from benchmark.report.left_out import Shown
from benchmark.report.reference import REFERENCE


@dataclass(frozen=True)
class Claims:
    """Settings of `ablation-bench claims`; see conf/claims.yaml."""

    results_dir: str | None
    only: list[str]
    directory: str

    def run(self) -> RenderableType:
        """Judge every claim, and write the table as Markdown, CSV and LaTeX.

        Raises:
            UserError: there is no record, or a claim's file cannot be used.
        """
        chosen = {name: claim(name) for name in self.only} if self.only else claims()
        place = REFERENCE if self.results_dir is None else Path(self.results_dir)
        loaded = load_kinds(place)
        rows = [row for name, one in chosen.items() for row in rows_of(name, one, loaded)]
        made = table_of(rows)
        assert made.data is not None
        written = write_table(made.data, Path(self.directory) / "claims", made.note)
        return Shown(
            FittedTable(made.table, made.title),
            made.note,
            *commands(rows),
            *(f"written: {path}" for path in written),
            left_out=next(iter(loaded.values())).left_out,
        )


def commands(rows: list[Row]) -> list[str]:
    """What makes the records that are missing, cheapest first."""
    models: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.claim.minutes):
        if row.missing:
            models.setdefault(row.claim.run, []).extend(row.models)
    return [
        f"missing; run: ablation-bench run {run} model={','.join(dict.fromkeys(some))}"
        for run, some in models.items()
    ]
