"""The table of all methods: what each is, scores and costs, and the ablations it works under.

The last column is asked of the methods themselves, on a small model of the zoo.
"""

from dataclasses import fields
from enum import Enum

from rich.table import Table

from benchmark.cli.list_tasks import first_comment
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import CircuitMethod
from benchmark.method.problem import Problem
from benchmark.method.study import Study
from benchmark.models.loading import LanguageModel, load_model

SMALL_MODEL = "tiny_gpt2"


def methods() -> Table:
    """One row per option of conf/method."""
    model = load_model(SMALL_MODEL, check=False)
    columns = "method", "what", "finds", "passes per training prompt, or in all", "ablations"
    table = Table(*columns, title="Methods", show_lines=True)
    for name in configured_names("method"):
        method: CircuitMethod | Study = configured("method", name)
        row = name, first_comment("method", name), _finds(name, method), method.cost
        table.add_row(*row, _ablations(method, model))
    return table


def _finds(name: str, method: CircuitMethod | Study) -> str:
    if isinstance(method, Study):
        return method.kind.replace("_", " ")
    return f"circuits of {_granularities(name)}"


def _granularities(name: str) -> str:
    """The levels that the method's settings offer, without those that it refuses."""
    types = {field.name: field.type for field in fields(configured("method", name))}
    levels = types.get("granularity")
    if not (isinstance(levels, type) and issubclass(levels, Enum)):
        return "edges"
    return ", ".join(f"{level.value}s" for level in levels if _takes(name, str(level.value)))


def _takes(name: str, level: str) -> bool:
    try:
        configured("method", name, granularity=level)
    except UserError:
        return False
    return True


def _ablations(method: CircuitMethod | Study, model: LanguageModel) -> str:
    """The ablations that the method supports, or why it supports none."""
    reasons = {}
    for name in configured_names("ablation"):
        whole = {"whole": EdgeMask.full(model.graph)}
        problem = Problem.of(model, ablation=name, references=whole)
        reasons[name] = method.unsupported(problem)
    supported = [name for name, reason in reasons.items() if reason is None]
    if not supported:
        return str(next(iter(reasons.values())))
    return "all" if len(supported) == len(reasons) else ", ".join(supported)
