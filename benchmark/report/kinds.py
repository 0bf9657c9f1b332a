"""Reports of studies by their kind; a kind without a report of its own gets its summaries.

The report of a kind is the module of that name in the folder `report/` of a package that holds the
study: `methods.importance.report.components` for `methods.importance.component_ablation`.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar, cast

import pandas as pd

from benchmark.config import ALLOWED_PACKAGES
from benchmark.errors import UserError
from benchmark.plugins import is_allowed, plugins, use_plugins
from benchmark.records.record import Record
from benchmark.report.frame import AXES, Results
from benchmark.report.study import StudyFigure, StudyReport, StudyTable
from benchmark.shadows import check_own

Made = TypeVar("Made")


def study_tables(results: Results, *, published: bool) -> list[StudyTable]:
    """The tables of records of one kind of study."""
    return _report(results).tables(results, published=published)


def study_figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """The pictures of records of one kind of study."""
    return _report(results).figures(results, published=published)


def of_each_kind(
    loaded: dict[str, Results], make: Callable[[str, Results], list[Made]]
) -> tuple[list[Made], list[str]]:
    """What can be made of records of every kind, and why nothing can of some.

    Raises:
        UserError: nothing can be made of any kind.
    """
    made: list[Made] = []
    refused: dict[str, UserError] = {}
    for kind, results in loaded.items():
        try:
            made += make(kind, results)
        except UserError as error:
            refused[kind] = error
    if len(refused) == len(loaded):
        raise next(iter(refused.values()))
    return made, [f"nothing on {kind}: {error}" for kind, error in refused.items()]


def _report(results: Results) -> StudyReport:
    return cast(StudyReport, import_module(_module_of(results.done[0]) or __name__))


def _module_of(record: Record) -> str | None:
    """The report of the record's kind, in one of the packages that its study's class lies in."""
    if not record.kind.isidentifier():
        return None
    use_plugins(*record.config.get("plugins", ()))
    package = str(record.config["method"].get("_target_"))
    if not is_allowed(package, (*ALLOWED_PACKAGES, *plugins())):
        return None
    check_own(package)
    while package := package.rpartition(".")[0]:
        module = f"{package}.report.{record.kind}"
        if _is_there(f"{package}.report") and _is_there(module):
            return module
    return None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # What holds it is a module, not a package.
        return False


def tables(results: Results, *, published: bool) -> list[StudyTable]:
    """One table with a row for each record."""
    rows = [
        {**results.labels[record.key], "seed": str(record.config["seed"])}
        | {name: f"{value:.4g}" for name, value in record.summary.items()}
        for record in results.done
    ]
    table = pd.DataFrame(rows).fillna("-")
    kind = results.done[0].kind
    return [StudyTable(kind, kind, table.set_index("method")[[*_places(table)]])]


def figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """None: what the numbers mean is not known here."""
    return []


def _places(table: pd.DataFrame) -> list[str]:
    """The columns, without names that all records share."""
    return [
        str(name)
        for name in table.columns
        if name != "method" and (name not in (*AXES, "seed") or table[name].nunique() > 1)
    ]
