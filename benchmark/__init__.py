"""Ablation methods and circuit discovery on one graph, one set of tasks, one protocol.

The names below are for notebooks and scripts; each is imported when it is first used, so that
tables and the command line stay free of torch.
"""

from importlib import import_module
from typing import Any

PUBLIC = {
    "load_model": "models.loading",
    "configured": "config",
    "Batch": "prompts.batch",
    "PromptPair": "prompts.encoding",
    "GeneratedTask": "prompts.generated",
    "Split": "prompts.task",
    "ComputationalGraph": "graph.graph",
    "EdgeMask": "graph.mask",
    "EdgeScores": "graph.mask",
    "Pruning": "graph.mask",
    "clean_logits": "forward.passes",
    "masked_logits": "forward.passes",
    "source_values": "forward.passes",
    "SourceValues": "forward.values",
    "Problem": "method.problem",
    "FoundCircuit": "method.circuits",
    "Findings": "method.study",
    "HeldOut": "evaluation.circuits",
    "circuit_scores": "evaluation.circuits",
    "KLDivergence": "metric",
    "metering": "meter",
    "keep_freed_memory": "memory",
    "Results": "report.frame",
    "UserError": "errors",
}
__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the public names
    if name not in PUBLIC:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    return getattr(import_module(f"benchmark.{PUBLIC[name]}"), name)
