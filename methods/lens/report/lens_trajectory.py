"""The report of prompts' trajectories: for each a picture with a panel a lens, and tables."""

from collections.abc import Iterator

import pandas as pd

from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.lens.report.trajectory import COLOURED_BY, draw_trajectory, shown


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every prompt and lens the likeliest tokens, layers down, with their probability."""
    made = []
    for words, rows in _prompts(results):
        for lens, some in rows.groupby("lens", sort=False):
            cells = some.assign(
                cell=[f"{shown(x.top)} {x.probability:.2f}" for x in some.itertuples()],
                place=[f"{x.position} {shown(x.token)}" for x in some.itertuples()],
            )
            table = cells.pivot(index="layer", columns="place", values="cell")
            table = table[list(dict.fromkeys(cells["place"]))]
            table.index = pd.Index([*table.index[:-1].astype(str), "model"], name="before layer")
            title = f"{', '.join(words)}: what {lens} says comes next, and its probability"
            made.append(ReportTable(("lens_trajectory", *words, str(lens)), title, table, some))
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every prompt all lenses, coloured by probability and by entropy."""
    return [
        ReportFigure(("lens_trajectory", *words, colour), draw_trajectory(rows, colour), rows)
        for words, rows in _prompts(results)
        for colour in COLOURED_BY
    ]


def _prompts(results: Results) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """The rows of every record, with the words that name it; seeds where there are several."""
    several = results.tables["seed"].nunique() > 1
    for record in results.done:
        labels = results.labels[record.key]
        seed = [f"seed={record.config['seed']}"] if several else []
        rows = results.tables[results.tables["key"] == record.key]
        yield (labels["task"], labels["model"], labels["method"], *seed), rows
