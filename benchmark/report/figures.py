"""All pictures of a folder of results, each as PNG and PDF with its data beside it."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from benchmark.errors import UserError
from benchmark.files import Stems
from benchmark.report.frame import Results, load_kinds
from benchmark.report.kinds import figures_of, of_each_kind
from benchmark.report.layout.pictures import save
from benchmark.report.left_out import Shown
from benchmark.report.protocol import Asked
from benchmark.report.score import Score


@dataclass(frozen=True)
class Figures:
    """Settings of `ablation-bench figures`; see conf/figures.yaml."""

    results_dir: str
    experiment_name: str | None
    score: str
    at_share: float
    allow_missing: bool
    published: bool
    board_rows: str | None
    circuits: bool
    directory: str

    def run(self) -> RenderableType:
        """Draw everything; return the paths.

        Raises:
            UserError: there is no finished record, or what there is cannot be compared.
        """
        asked = Asked(
            Score(self.score, self.at_share),
            published=self.published or self.board_rows is not None,
            board_rows=self.board_rows,
            allow_missing=self.allow_missing,
            circuits=self.circuits,
        )
        loaded = load_kinds(Path(self.results_dir), self.experiment_name)
        stems = Stems()
        try:
            paths, refused = of_each_kind(loaded, lambda found: self._drawn(found, asked, stems))
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        pictures = (str(path) for path in paths if path.suffix == ".png")
        return Shown(*pictures, *refused, left_out=next(iter(loaded.values())).left_out)

    def _drawn(self, results: Results, asked: Asked, stems: Stems) -> list[Path]:
        """The pictures of one kind, each written before the next is drawn."""
        place = Path(self.directory)
        return [
            path
            for made in figures_of(results, asked)
            for path in save(made.figure, made.data, place / stems(*made.words))
        ]
