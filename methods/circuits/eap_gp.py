"""EAP along a path that gradients choose, EAP-GP (Zhang et al. 2025, arXiv 2502.06852).

The straight line of EAP-IG crosses regions where the model saturates. Here each step goes down the
gradient of the squared distance between the point's logits and the corrupted prompt's, so that the
path moves where the output changes (equations 7 to 9). The points are embeddings of all positions
together, steps have the same length in every prompt, whatever its batch, and logits are those at
the read position. The gradients of the metric are averaged over the points 1 .. steps.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.edges.first_order import CleanRun, Effects, effects_at_inputs
from benchmark.errors import UserError
from benchmark.forward.passes import logits_of_inputs
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer
from methods.circuits.scoring.attribution import Attribution
from methods.ranges import check_counts
from methods.requirements import needs_counterfactual

SHORTEST = 1e-12
Inputs = Float[Tensor, "1 batch pos d_model"]


@dataclass(frozen=True)
class EAPGP(Attribution):
    """Settings of EAP-GP; see conf/method/eap_gp.yaml."""

    steps: int
    step_length: float | None

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps")
        if self.step_length is not None and not self.step_length > 0:
            raise UserError(f"method.step_length={self.step_length} must be above 0, or null")

    def unsupported(self, problem: Problem) -> str | None:
        """The path runs between two prompts."""
        return needs_counterfactual(problem) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """Mean first-order effects over the points of the path."""
        clean = CleanRun.of(problem.model, batch, problem.replacement(batch))
        points = self._path(problem.model, clean, int(problem.ablation.keep_first))
        return effects_at_inputs(problem.model, clean, points, objective)

    def _path(
        self, model: Transformer, clean: CleanRun, first: int
    ) -> Float[Tensor, "points batch pos d_model"]:
        start, end = clean.inputs_at([1.0]), clean.inputs_at([0.0])
        with torch.no_grad():
            target = logits_of_inputs(model, end, clean.batch)
        length = self.step_length or _length(start - end) / self.steps
        points = [start]
        for _ in range(self.steps):
            x = points[-1].detach().requires_grad_()
            distance = (logits_of_inputs(model, x, clean.batch) - target).square().sum()
            (gradient,) = torch.autograd.grad(distance, x)
            # A position that is never ablated stands still.
            gradient[..., :first, :] = 0
            points.append(points[-1] - length * gradient / _length(gradient).clamp(min=SHORTEST))
        return torch.cat(points[1:])


def _length(x: Inputs) -> Float[Tensor, "1 batch 1 1"]:
    return x.flatten(2).norm(dim=-1)[..., None, None]
