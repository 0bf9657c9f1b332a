"""The verb `report`: what `leaderboard` and `figures` show, to look around in with a browser."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from benchmark.errors import UserError
from benchmark.records.record import CIRCUITS
from benchmark.report.frame import Results, load_kinds
from benchmark.report.left_out import Shown
from benchmark.report.page.claims import claims_part
from benchmark.report.page.overview import overview
from benchmark.report.page.records import record_part
from benchmark.report.page.studies import study_part
from benchmark.report.page.writing import write_report
from benchmark.report.score import Score


@dataclass(frozen=True)
class BrowserReport:
    """Settings of `ablation-bench report`; see conf/report.yaml."""

    results_dir: str
    experiment_name: str | None
    at_share: float
    pictures: bool
    largest_file_mb: float
    directory: str

    def run(self) -> RenderableType:
        """Write the report; return where it is.

        Raises:
            UserError: there is no finished record, or the report cannot be written.
        """
        Score("loss_gap", self.at_share)
        loaded = load_kinds(Path(self.results_dir), self.experiment_name, unfinished=True)
        records = {
            key: record_part(record, results.labels[key], results.paths[key])
            for results in loaded.values()
            for key, record in results.records.items()
        }
        left_out = next(iter(loaded.values())).left_out
        try:
            most = self.largest_file_mb * 1e6
            drawn = {key: part["circuits"] for key, part in records.items() if part["circuits"]}
            graphs = {key: circuits["graph"] for key, circuits in drawn.items()}
            head = self._head(loaded, left_out, graphs)
            path = write_report(Path(self.directory), head, records, most)
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        return Shown(f"written: {path}", left_out=left_out)

    def _head(
        self, loaded: dict[str, Results], left_out: tuple[str, ...], graphs: dict[str, str]
    ) -> dict[str, Any]:
        """What the report shows before a record is chosen."""
        finished = {kind: results for kind, results in loaded.items() if results.done}
        of_circuits = finished.get(CIRCUITS)
        return {
            "title": self.experiment_name or Path(self.results_dir).resolve().name,
            "overview": overview(of_circuits, self.at_share) if of_circuits else None,
            "studies": {
                kind: study_part(kind, results, pictures=self.pictures)
                for kind, results in finished.items()
                if kind != CIRCUITS
            },
            "claims": claims_part(finished),
            "records": [
                {**row, "graph": graphs.get(row["key"])}
                for results in loaded.values()
                for row in _listed(results)
            ],
            "left_out": left_out,
        }


def _listed(results: Results) -> list[dict[str, Any]]:
    """A row for each record, whatever became of it."""
    return [
        {
            "key": record.key,
            "kind": record.kind,
            **results.labels[record.key],
            "seed": record.config["seed"],
            "state": record.status.value,
            "note": record.reason or "; ".join(record.warnings),
            "created": record.created,
        }
        for record in results.records.values()
    ]
