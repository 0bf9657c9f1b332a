"""Exhaustive activation patching of prompt pairs, kept on disk layer by layer.

The truth of a pair under a model depends on neither method nor seed, so all records of a results
folder share it, and a measurement that was killed goes on where it was.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.batch import Batch, Objective
from benchmark.exact_nodes import exact_node_effects
from benchmark.model import LanguageModel
from benchmark.nodes import Nodes
from benchmark.patching import PatchPoint
from methods.importance.kept_effects import Question


def exhaustive_effects(
    model: LanguageModel,
    batches: Sequence[Batch],
    nodes: Nodes,
    objective: Objective,
    question: Question,
) -> Float[Tensor, "pairs nodes"]:
    """The effect of every node for every pair, on the CPU.

    Args:
        model: the model.
        batches: the pairs; in each, `clean` is run and `corrupted` gives the values.
        nodes: which nodes.
        objective: the metric.
        question: the same in plain values, and where its answers are kept.
    """
    n_layers = model.shape.n_layers

    def of_batch(batch: Batch) -> Float[Tensor, "batch nodes"]:
        kept, point, layers = question.about(batch), None, []
        for layer in range(n_layers):
            found = kept.read(layer)
            if found is None:
                point = point or PatchPoint.of(model, batch, keep_first=question.keep_first)
                found = exact_node_effects(model, point, nodes, layer, objective).cpu()
                kept.write(layer, found)
            layers.append(found)
            progress.update()
        return torch.cat(layers, 1)

    total = len(batches) * n_layers
    with tqdm(total=total, desc="patching", disable=None, leave=False) as progress:
        return torch.cat([of_batch(batch) for batch in batches])
