"""Tables of causal tracing: which layers bring facts back, and how sharply they are placed."""

from typing import Any

import pandas as pd

from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import ReportTable
from benchmark.report.published.numbers import published_effects
from methods.tracing.report.series import PLACE, Traced, place_words

MEASURES = {
    "largest_effect": "largest effect",
    "top_share": "share of the top layer",
    "effective_layers": "effective layers",
    "neighbour_difference": "difference of neighbours",
}
N_PUBLISHED = 3


def tables_of(found: Traced) -> list[ReportTable]:
    """The top layers, the sharpness, and the levels between which effects lie."""
    stem = found.task, found.model
    return [
        ReportTable(
            ("tracing", *stem),
            f"{found.words}: the layer that brings back most, with its average indirect effect",
            _top_layers(found),
        ),
        ReportTable(
            ("tracing", "sharpness", *stem),
            f"{found.words}: how sharply facts are placed (95 % bootstrap over facts)",
            _sharpness(found),
        ),
        ReportTable(
            ("tracing", "levels", *stem),
            f"{found.words}: facts, and the probability of their answers",
            _levels(found),
        ),
    ]


def published_table() -> ReportTable:
    """The largest published effects of each group of places, on GPT-2 XL."""
    rows = published_effects()
    origin = rows.iloc[0]
    place = rows.rename(columns={"where": "read in", "tokens": "where"})
    shown = {}
    for (restored, width, where, ablation), group in place.groupby([*PLACE, "ablation"]):
        top = group.nlargest(N_PUBLISHED, "value")
        cell = ", ".join(f"{row.layer}: {row.value:.3f}" for row in top.itertuples())
        words = place_words(dict(restored=restored, window=width, where=where))
        shown.setdefault(words, {})[ablation] = cell
    table = pd.DataFrame(shown).T[["optimal", "gaussian"]].fillna(DASH).rename_axis("restored")
    title = (
        f"published: {origin['source']}, {origin['where']}: gpt2-xl, layers (numbered from the "
        "second) and effects"
    )
    return ReportTable(("published", "tracing"), title, table)


def _top_layers(found: Traced) -> pd.DataFrame:
    columns = {}
    for series, rows in found.part("layer").items():
        known = rows.dropna(subset="value")
        top = known.loc[known.groupby(PLACE, sort=False)["value"].idxmax()]
        columns[series] = {
            place_words(row): f"{row['layer']}: {_within(row)}" for row in top.to_dict("records")
        }
    return pd.DataFrame(columns).fillna(DASH).rename_axis("restored")


def _sharpness(found: Traced) -> pd.DataFrame:
    rows = []
    for series, part in found.part("sharpness").items():
        for place, group in part.groupby(PLACE, sort=False):
            numbers = {row["measure"]: _within(row) for row in group.to_dict("records")}
            words = place_words(dict(zip(PLACE, place, strict=True)))
            shown = {title: numbers[name] for name, title in MEASURES.items()}
            rows.append({"restored": words, "corruption": series} | shown)
    order = {row["restored"]: number for number, row in enumerate(rows[::-1])}
    rows.sort(key=lambda row: -order[row["restored"]])
    return pd.DataFrame(rows).set_index("restored")


def _levels(found: Traced) -> pd.DataFrame:
    rows = []
    for series, record in found.records.items():
        summary = record.summary
        rows.append(
            {
                "corruption": series,
                "facts": f"{summary['facts']:.0f}",
                "known": f"{summary['known']:.0f}",
                "clean": f"{summary['clean_probability']:.3f}",
                "corrupted": f"{summary['corrupted_probability']:.3f}",
            }
        )
    return pd.DataFrame(rows).set_index("corruption")


def _within(row: dict[str, Any]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
