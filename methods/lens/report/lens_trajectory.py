"""The report of prompts' trajectories: for each a picture with a panel a lens, and tables."""

from collections.abc import Iterator

import pandas as pd

from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.lens.report.trajectory import COLOURED_BY, draw_trajectory, shown


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every prompt and lens the likeliest tokens, layers down, with their probability."""
    made = []
    for words, title, rows in _prompts(results):
        for lens, some in rows.groupby("lens", sort=False):
            cells = some.assign(
                cell=[f"{shown(x.top)} {x.probability:.2f}" for x in some.itertuples()],
                place=[f"{x.position} {shown(x.token)}" for x in some.itertuples()],
            )
            table = cells.pivot(index="layer", columns="place", values="cell")
            table = table[list(dict.fromkeys(cells["place"]))]
            table.index = pd.Index([*table.index[:-1].astype(str), "model"], name="before layer")
            of_lens = f"{title}: what {lens} says comes next, and its probability"
            made.append(ReportTable((*words, str(lens)), of_lens, table, some))
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every prompt all lenses, coloured by probability and by entropy."""
    return [
        ReportFigure((*words, colour), draw_trajectory(rows, colour), rows)
        for words, _, rows in _prompts(results)
        for colour in COLOURED_BY
    ]


def _prompts(results: Results) -> Iterator[tuple[tuple[str, ...], str, pd.DataFrame]]:
    """The rows of every record, with words that name its files and its title."""
    for record in results.done:
        labels = results.labels[record.key]
        title = f"{labels['task']}, {labels['model']}, {labels['method']}"
        rows = results.tables[results.tables["key"] == record.key]
        # A prompt may be longer than the name of a file.
        yield ("lens_trajectory", labels["task"], labels["model"], record.key), title, rows
