"""Verdicts as one table: short for the terminal, whole for files."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.report.claims.claim import SEED
from benchmark.report.claims.verdicts import Row, Verdict
from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import ReportTable

TITLE = "what papers claim, and what is true of these records"


def table_of(rows: Sequence[Row]) -> ReportTable:
    """A row for each claim, model and rival, and how many have which verdict."""
    short = pd.DataFrame([_short(row) for row in rows]).set_index("claim")
    full = pd.DataFrame([whole(row) for row in rows]).set_index("claim")
    return ReportTable(("claims",), TITLE, short, data=full, note=counted(rows))


def counted(rows: Sequence[Row]) -> str:
    """How many rows have which verdict, in words."""
    numbers = Counter(row.verdict for row in rows)
    said = ", ".join(f"{verdict.value}: {numbers[verdict]}" for verdict in Verdict)
    return f"{said} (of {len(rows)} rows, one for each claim, model and rival; none is averaged)"


def shown(row: Row) -> str:
    """The effect with its interval."""
    if row.effect is None or np.isnan(row.effect.value):
        return DASH
    value, low, high = (f"{x:.3f}" for x in (row.effect.value, row.effect.low, row.effect.high))
    return value if "nan" in (low, high) else f"{value} [{low}, {high}]"


def _short(row: Row) -> dict[str, str]:
    return {
        "claim": row.name,
        "model": _short_name(row.model),
        "against": _against(row),
        "measured": shown(row),
        "rule": row.claim.rule,
        "verdict": row.verdict.value,
    }


def _short_name(model: str) -> str:
    """A model's name without its group, and without the seeds that one row is about."""
    return model.rpartition("/")[2].replace(f"_seed{SEED}", "")


def _against(row: Row) -> str:
    """The rival, by what tells it from the cell that is claimed about."""
    cell, rival = row.claim.cell, row.rival
    if rival is None:
        return DASH
    if row.claim.rival_model is not None:
        return _short_name(row.claim.rival_model)
    return rival.method if rival.ablation == cell.ablation else str(rival)


def _whole_rival(row: Row) -> str:
    of_model = f" of {row.claim.rival_model}" if row.claim.rival_model else ""
    return DASH if row.rival is None else f"{row.rival}{of_model}"


def whole(row: Row) -> dict[str, str]:
    """All that there is to say of a row, by the heads of a table."""
    claim = row.claim
    return {
        "claim": row.name,
        "sentence": claim.sentence,
        "source": f"{claim.paper}, {claim.where}",
        "published": claim.published or DASH,
        "task": claim.task,
        "model": row.model,
        "cell": claim.claimed,
        "against": _whole_rival(row),
        "quantity": f"{claim.quantity} ({claim.measured.unit})",
        "rule": claim.rule,
        "measured": shown(row),
        "seeds": ", ".join(map(str, claim.seeds)),
        "verdict": row.verdict.value,
        "why": row.why or DASH,
        "overturned by": claim.overturned_by,
        "records": " ".join(row.keys) or DASH,
    }
