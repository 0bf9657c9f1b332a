"""The table and the picture of how sure models are."""

from benchmark.report.frame import Results
from benchmark.report.layout.pictures import axes_of
from benchmark.report.protocol import Asked, ReportFigure, ReportTable


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """The mean of each task and model."""
    means = results.tables.groupby(["task", "model"])["probability"].mean()
    table = means.map("{:.3f}".format).reset_index().set_index("task")
    return [ReportTable(("confidence",), "how sure models are", table)]


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """A histogram over prompts."""
    figure, (axes,) = axes_of("how sure models are")
    axes.hist(results.tables["probability"])
    return [ReportFigure(("confidence",), figure, results.tables[["prompt", "probability"]])]
