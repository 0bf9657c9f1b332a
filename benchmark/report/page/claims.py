"""The page of claims: those that the records of the report can judge, with links to them."""

from collections.abc import Mapping
from typing import Any

from benchmark.report.claims.claim import claims
from benchmark.report.claims.tables import counted, whole
from benchmark.report.claims.verdicts import rows_of
from benchmark.report.frame import Results


def claims_part(loaded: Mapping[str, Results]) -> dict[str, Any] | None:
    """A row for each claim, model and rival that there are records of, or None if there are none.

    Raises:
        UserError: a claim's file cannot be used.
    """
    judged = [row for name, one in claims().items() for row in rows_of(name, one, loaded)]
    rows = [row for row in judged if not row.missing]
    if not rows:
        return None
    return {"rows": [{**whole(row), "keys": row.keys} for row in rows], "note": counted(rows)}
