"""First-order effects averaged along the straight line between two prompts' embeddings."""

from benchmark.effects.edges.first_order import CleanRun, Effects, effects_at_inputs
from benchmark.forward.values import SourceValues
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


def effects_along_path(
    model: Transformer, batch: Batch, replacement: SourceValues, objective: Objective, steps: int
) -> Effects:
    """The mean effects at `steps` points from the corrupted towards the clean embeddings."""
    clean = CleanRun.of(model, batch, replacement)
    inputs = clean.inputs_at([k / steps for k in range(steps)])
    return effects_at_inputs(model, clean, inputs, objective)
