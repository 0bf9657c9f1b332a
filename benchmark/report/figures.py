"""All pictures of a folder of results, each as PNG and PDF with its data beside it."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from benchmark.errors import UserError
from benchmark.files import file_stem
from benchmark.records.record import CIRCUITS
from benchmark.report.circuits.drawing import draw_edges, readable_circuit
from benchmark.report.circuits.faithfulness import faithfulness_against_size
from benchmark.report.circuits.plots import (
    ablations_compared,
    gap_against_size,
    has_points,
    quality_against_cost,
    score_map,
)
from benchmark.report.circuits.roc import roc
from benchmark.report.circuits.scores import Score, score_table
from benchmark.report.comparable import refuse_mixtures
from benchmark.report.frame import Results, load_kinds
from benchmark.report.kinds import of_each_kind, study_figures
from benchmark.report.leaderboard import column_names, row_names
from benchmark.report.left_out import Shown
from benchmark.report.published.numbers import published_curves, published_faithfulness
from benchmark.report.style import save

# A picture of more edges shows nothing and takes long; circuits of neurons touch many.
MOST_EDGES_DRAWN = 1000


@dataclass(frozen=True)
class Figures:
    """Settings of `ablation-bench figures`; see conf/figures.yaml."""

    results_dir: str
    experiment_name: str | None
    score: str
    at_share: float
    published: bool
    circuits: bool
    directory: str

    def run(self) -> RenderableType:
        """Draw everything; return the paths.

        Raises:
            UserError: there is no finished record.
        """

        def make(kind: str, results: Results) -> list[Path]:
            return self._all(results) if kind == CIRCUITS else self._study(results)

        loaded = load_kinds(Path(self.results_dir), self.experiment_name)
        try:
            paths, refused = of_each_kind(loaded, make)
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        pictures = (str(path) for path in paths if path.suffix == ".png")
        left_out = next(iter(loaded.values())).left_out
        return Shown(*pictures, *refused, left_out=left_out)

    def _study(self, results: Results) -> list[Path]:
        made = study_figures(results, published=self.published)
        return [path for one in made for path in save(one.figure, one.data, self._path(*one.words))]

    def _all(self, results: Results) -> list[Path]:
        """Every picture of circuits."""
        refuse_mixtures(results, results.tables)
        return [
            *self._curves(results),
            *self._faithfulness(results),
            *self._rocs(results),
            *self._ablations(results),
            *self._scores(results),
            *(self._circuits(results) if self.circuits else []),
        ]

    def _curves(self, results: Results) -> list[Path]:
        paths, reported = [], published_curves()
        for (task, model, evaluation), rows in results.tables.groupby(
            ["task", "model", "evaluation"]
        ):
            same = (reported["task"] == task) & (reported["ablation"] == evaluation)
            overlay = reported[same] if self.published and same.any() else None
            if not has_points(rows):
                continue
            rows = rows.assign(method=row_names(rows))
            figure = gap_against_size(rows, f"{task}, {model}, {evaluation} ablation", overlay)
            paths += save(figure, rows, self._path("gap", task, model, evaluation))
        return paths

    def _faithfulness(self, results: Results) -> list[Path]:
        measured = results.tables[results.tables["size"] > 0]
        paths, curves = [], measured.dropna(subset="faithfulness")
        for (task, model, evaluation), rows in curves.groupby(["task", "model", "evaluation"]):
            areas = [results.records[key].areas[evaluation] for key in rows["key"]]
            rows = rows.assign(
                method=row_names(rows),
                cpr=[area["cpr"] for area in areas],
                cmd=[area["cmd"] for area in areas],
            )
            overlay = None
            if self.published:
                n_edges = int(rows["n_edges"].iloc[0])
                overlay = published_faithfulness(task, model, evaluation, n_edges)
            title = f"{task}, {model}, {evaluation} ablation"
            figure = faithfulness_against_size(rows, title, overlay)
            paths += save(figure, rows, self._path("faithfulness", task, model, evaluation))
        return paths

    def _rocs(self, results: Results) -> list[Path]:
        """One for each ablation of the search: what circuits are evaluated under changes none."""
        if "edge_recall" not in results.tables:
            return []
        paths, known = [], results.tables.dropna(subset="edge_recall")
        known = known[known["method"].str.split(" ").str[0] != "reference"]
        once = known.drop_duplicates(["key", "circuit"])
        for (task, model, ablation), rows in once.groupby(["task", "model", "ablation"]):
            figure = roc(rows, f"{task}, {model}: circuits found under {ablation} ablation")
            paths += save(figure, rows, self._path("roc", task, model, ablation))
        return paths

    def _ablations(self, results: Results) -> list[Path]:
        paths = []
        for (task, model, method), rows in results.tables.groupby(["task", "model", "method"]):
            own = rows[rows["ablation"] == rows["evaluation"]]
            if own["evaluation"].nunique() > 1 and has_points(own):
                figure = ablations_compared(own, f"{task}, {model}: {method}")
                paths += save(figure, own, self._path("ablations", task, model, method))
        return paths

    def _scores(self, results: Results) -> list[Path]:
        score = Score(self.score, self.at_share)
        scores = score_table(results, score).dropna(subset="value")
        if scores.empty:
            return []
        paths = []
        for (evaluation, part), rows in scores.groupby(["evaluation", "part"]):
            rows = rows.assign(method=row_names(rows))
            title = f"{evaluation} ablation" + (f", {part}" if part else "")
            figure = quality_against_cost(rows, score.title, title)
            words = filter(None, ("cost", self.score, evaluation, part))
            paths += save(figure, rows, self._path(*words))
        named = scores.assign(column=column_names(scores), row=row_names(scores))
        table = named.pivot_table(index="row", columns="column", values="value", aggfunc="mean")
        figure = score_map(table, score.title, "all results", score.lower_is_better)
        paths += save(figure, table.reset_index(), self._path("map", self.score))
        return paths

    def _circuits(self, results: Results) -> list[Path]:
        paths = []
        for record in results.done:
            label = results.labels[record.key]
            if record.names["method"] == "random":
                continue
            names, edges = readable_circuit(Path(self.results_dir) / record.key)
            if len(edges) > MOST_EDGES_DRAWN:
                continue
            figure = draw_edges(edges, names, _title(label))
            place = (label[kind] for kind in ("task", "model", "ablation", "method"))
            stem = self._path("circuit", *place, f"seed{record.config['seed']}", record.key[:6])
            paths += save(figure, edges, stem)
        return paths

    def _path(self, *words: object) -> Path:
        return Path(self.directory) / file_stem(*words)


def _title(label: dict[str, str]) -> str:
    return "{task}, {model}: {method} under {ablation} ablation".format(**label)
