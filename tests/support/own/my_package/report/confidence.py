"""The table and the picture of how sure models are."""

from benchmark.report.frame import Results
from benchmark.report.study import StudyFigure, StudyTable
from benchmark.report.style import axes_of


def tables(results: Results, *, published: bool) -> list[StudyTable]:
    """The mean of each task and model."""
    means = results.tables.groupby(["task", "model"])["probability"].mean()
    table = means.map("{:.3f}".format).reset_index().set_index("task")
    return [StudyTable("confidence", "how sure models are", table)]


def figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """A histogram over prompts."""
    figure, (axes,) = axes_of("how sure models are")
    axes.hist(results.tables["probability"])
    return [StudyFigure(("confidence",), figure, results.tables[["prompt", "probability"]])]
