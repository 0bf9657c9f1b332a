"""Ablation methods and circuit discovery on one graph, one set of tasks, one protocol.

The names below are for notebooks and scripts; each is imported when it is first used, so that
tables and the command line stay free of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Editors see these; nothing is imported when the package is.
    from benchmark.config import configured as configured
    from benchmark.effects.nodes.first_order import AtPVariant as AtPVariant
    from benchmark.effects.nodes.first_order import Cut as Cut
    from benchmark.effects.nodes.first_order import node_effects as node_effects
    from benchmark.effects.nodes.nodes import NodeKind as NodeKind
    from benchmark.effects.nodes.nodes import Nodes as Nodes
    from benchmark.errors import UserError as UserError
    from benchmark.evaluation.circuits import CircuitScores as CircuitScores
    from benchmark.evaluation.circuits import HeldOut as HeldOut
    from benchmark.evaluation.circuits import circuit_scores as circuit_scores
    from benchmark.forward.passes import clean_logits as clean_logits
    from benchmark.forward.passes import masked_logits as masked_logits
    from benchmark.forward.passes import source_values as source_values
    from benchmark.forward.values import SourceValues as SourceValues
    from benchmark.graph.graph import ComputationalGraph as ComputationalGraph
    from benchmark.graph.mask import EdgeMask as EdgeMask
    from benchmark.graph.mask import Pruning as Pruning
    from benchmark.graph.scores import EdgeScores as EdgeScores
    from benchmark.memory import keep_freed_memory as keep_freed_memory
    from benchmark.meter import metering as metering
    from benchmark.method.circuits import FoundCircuit as FoundCircuit
    from benchmark.method.problem import Problem as Problem
    from benchmark.method.study import Findings as Findings
    from benchmark.metric import CrossEntropy as CrossEntropy
    from benchmark.metric import KLDivergence as KLDivergence
    from benchmark.models.loading import load_model as load_model
    from benchmark.plugins import use_plugins as use_plugins
    from benchmark.prompts.batch import Batch as Batch
    from benchmark.prompts.encoding import PromptPair as PromptPair
    from benchmark.prompts.generated import GeneratedTask as GeneratedTask
    from benchmark.prompts.task import Split as Split
    from benchmark.report.frame import Results as Results
    from benchmark.run.from_python import run_cell as run_cell

PUBLIC = {
    "AtPVariant": "effects.nodes.first_order",
    "Batch": "prompts.batch",
    "ComputationalGraph": "graph.graph",
    "CrossEntropy": "metric",
    "Cut": "effects.nodes.first_order",
    "EdgeMask": "graph.mask",
    "EdgeScores": "graph.scores",
    "Findings": "method.study",
    "FoundCircuit": "method.circuits",
    "GeneratedTask": "prompts.generated",
    "CircuitScores": "evaluation.circuits",
    "HeldOut": "evaluation.circuits",
    "KLDivergence": "metric",
    "NodeKind": "effects.nodes.nodes",
    "Nodes": "effects.nodes.nodes",
    "Problem": "method.problem",
    "PromptPair": "prompts.encoding",
    "Pruning": "graph.mask",
    "Results": "report.frame",
    "SourceValues": "forward.values",
    "Split": "prompts.task",
    "UserError": "errors",
    "circuit_scores": "evaluation.circuits",
    "clean_logits": "forward.passes",
    "configured": "config",
    "keep_freed_memory": "memory",
    "load_model": "models.loading",
    "masked_logits": "forward.passes",
    "metering": "meter",
    "node_effects": "effects.nodes.first_order",
    "run_cell": "run.from_python",
    "source_values": "forward.passes",
    "use_plugins": "plugins",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the public names
    if name not in PUBLIC:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    return getattr(import_module(f"benchmark.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
