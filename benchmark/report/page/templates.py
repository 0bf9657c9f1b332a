"""Templates and scripts of the report; whatever a template is given is escaped."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

PACKAGE = "benchmark.report.page"
# In the order in which they build on each other.
SCRIPTS = (
    "parts.js",
    "tables.js",
    "overview.js",
    "charts.js",
    "claims.js",
    "graph.js",
    "circuit.js",
    "pages.js",
)


def rendered(name: str, **values: Any) -> str:  # noqa: ANN401 - whatever a template shows
    """A template with these values."""
    return _environment().get_template(name).render(**values)


def script() -> str:
    """Our own scripts as one."""
    inner = "\n".join(_text("assets", name) for name in SCRIPTS)
    return f"'use strict';\n(() => {{\n{inner}\n}})();"


def style() -> str:
    """The style sheet."""
    return _text("assets", "style.css")


@cache
def _environment() -> Environment:
    loader = FunctionLoader(lambda name: _text("html", name))
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _text(folder: str, name: str) -> str:
    return files(PACKAGE).joinpath(folder, name).read_text(encoding="utf-8")
