"""The report of each kind of records, found by name.

That of circuits is `benchmark.report.circuits`. That of a study is the module of its kind's name in
the folder `report/` of a package that holds the study: `methods.importance.report.components` for
`methods.importance.component_ablation`. A kind without one gets its summaries.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

from benchmark.config import ALLOWED_PACKAGES
from benchmark.errors import UserError
from benchmark.plugins import is_allowed, plugins, use_plugins
from benchmark.records.record import Record
from benchmark.report import summaries
from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, Report, ReportFigure, ReportTable
from benchmark.shadows import check_own

Made = TypeVar("Made")
CORE = "benchmark"


def tables_of(results: Results, asked: Asked | None = None) -> Iterable[ReportTable]:
    """The tables of records of one kind."""
    return report_of(results.done[0]).tables(results, asked or Asked())


def figures_of(results: Results, asked: Asked | None = None) -> Iterable[ReportFigure]:
    """The pictures of records of one kind."""
    return report_of(results.done[0]).figures(results, asked or Asked())


def of_each_kind(
    loaded: dict[str, Results], make: Callable[[Results], list[Made]]
) -> tuple[list[Made], list[str]]:
    """What can be made of records of every kind, and why nothing can of some.

    Raises:
        UserError: nothing can be made of any kind.
    """
    made: list[Made] = []
    refused: dict[str, UserError] = {}
    for kind, results in loaded.items():
        try:
            made += make(results)
        except UserError as error:
            refused[kind] = error
    if len(refused) == len(loaded):
        raise next(iter(refused.values()))
    return made, [f"nothing on {kind}: {error}" for kind, error in refused.items()]


def report_of(record: Record) -> Report:
    """The report of the record's kind: this project's, or one that lies with its method.

    Raises:
        UserError: a module of that name is no report.
    """
    use_plugins(*record.config.get("plugins", ()))
    return report_of_kind(record.kind, str(record.config["method"].get("_target_")))


def report_of_kind(kind: str, target: str) -> Report:
    """The report of a kind of records.

    Args:
        kind: of the records.
        target: the class of the method that leaves them, as its yaml names it.

    Raises:
        UserError: a module of that name is no report.
    """
    if not kind.isidentifier():
        return summaries
    for package in (CORE, *_packages_of(target)):
        module = f"{package}.report.{kind}"
        if not (_is_package(package) and _is_there(f"{package}.report") and _is_there(module)):
            continue
        report = import_module(module)
        if isinstance(report, Report):
            return report
        if package != CORE:
            raise UserError(
                f"{module} is no report: it needs the functions tables(results, asked) and "
                "figures(results, asked)"
            )
    return summaries


def _packages_of(target: str) -> Iterable[str]:
    """The packages that hold the method's class, the innermost first, if they may be imported."""
    package = target
    if is_allowed(package, (*ALLOWED_PACKAGES, *plugins())):
        check_own(package)
        while package := package.rpartition(".")[0]:
            yield package


def _is_package(name: str) -> bool:
    """Whether a name is a package, told without importing it: a method's module imports torch."""
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _is_there(module: str) -> bool:
    return find_spec(module) is not None
