"""What estimators of node importance are asked: prompt pairs, nodes, a metric and a direction.

The contribution of a node is the mean over prompt pairs of the magnitude of its intervention
effect (Kramar et al. 2024, arXiv 2403.00745, equations 1 to 3), or the magnitude of the mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from benchmark.effects.nodes.nodes import NodeKind, NodePositions, Nodes
from benchmark.effects.nodes.patching import SiteRun, set_effects
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from methods.importance.nodes.recall import contributions
from methods.importance.nodes.truth import Question, exhaustive_effects
from methods.ranges import check_counts
from methods.requirements import needs_counterfactual


class Direction(Enum):
    """Which prompt runs: the clean one with corrupted activations (noising), or the other way."""

    noising = "noising"
    denoising = "denoising"


@dataclass(frozen=True)
class NodeSettings:
    """Settings of everything that measures nodes; see conf/method/atp.yaml."""

    nodes: NodeKind
    positions: NodePositions
    direction: Direction
    abs_inside: bool
    batch_size: int

    def __post_init__(self) -> None:
        """Check the range."""
        check_counts(self, "batch_size")

    def unsupported(self, problem: Problem) -> str | None:
        """Activations come from the paired prompt; positions need prompts of one length."""
        reason = needs_counterfactual(problem, "nodes take their values from the corrupted prompt")
        if reason:
            return reason
        lengths = {int(n) for batch in problem.batches for n in batch.lengths}
        if self.positions is NodePositions.each and len(lengths) > 1:
            return (
                f"prompts have {min(lengths)} to {max(lengths)} tokens, so their positions have no "
                "nodes in common; give method.positions=all, or a task with prompts of one length"
            )
        return None


@dataclass(frozen=True, eq=False)
class NodeProblem:
    """All that an estimator may see, and the truth that judges it.

    Attributes:
        problem: the model, the metric and the seed.
        settings: which nodes, and which way prompts are patched.
        batches: the prompt pairs; in each, `clean` is run and `corrupted` gives the values.
    """

    problem: Problem
    settings: NodeSettings
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, problem: Problem, settings: NodeSettings) -> "NodeProblem":
        """The pairs of a problem, turned round if the corrupted prompts are to be run."""
        batches = problem.in_batches(settings.batch_size)
        if settings.direction is Direction.denoising:
            batches = [replace(b, clean=b.corrupted, corrupted=b.clean) for b in batches]
        return cls(problem, settings, tuple(batches))

    @property
    def model(self) -> LanguageModel:
        """The model."""
        return self.problem.model

    @property
    def n_pairs(self) -> int:
        """Prompt pairs."""
        return sum(map(len, self.batches))

    @property
    def keep_first(self) -> bool:
        """Whether position 0 (BOS) is left as it is."""
        return self.problem.ablation.keep_first

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes of these prompts."""
        each = self.settings.positions is NodePositions.each
        n_positions = self.batches[0].n_positions if each else 1
        return Nodes(self.settings.nodes, self.model.shape, n_positions)

    def objective(
        self, logits: Tensor, batch: Batch, unpatched: Tensor
    ) -> Float[Tensor, "*rows batch"]:
        """The metric of each prompt."""
        return self.problem.metric(logits, batch, unpatched)

    def clean_runs(self) -> Iterator[SiteRun]:
        """Each batch of pairs with its two runs."""
        for batch in self.batches:
            yield SiteRun.of(self.model, batch, keep_first=self.keep_first)

    def of_sets(self, clean: SiteRun, chosen: Tensor) -> Float[Tensor, "rows batch"]:
        """The effects of sets of nodes [rows, prompts or 1, nodes] patched together."""
        return set_effects(self.model, clean, self.nodes, chosen, self.objective)

    @cached_property
    def truth(self) -> Float[Tensor, "pairs nodes"]:
        """The intervention effect of every node for every pair, kept on disk once measured."""
        settings, problem = self.settings, self.problem
        question = Question(
            folder=problem.shared_folder,
            model=self.model,
            metric=problem.metric,
            nodes=settings.nodes,
            positions=settings.positions,
            keep_first=self.keep_first,
        )
        return exhaustive_effects(self.model, self.batches, self.nodes, self.objective, question)

    def contribution(self, effects: Float[Tensor, "pairs nodes"]) -> Float[Tensor, " nodes"]:
        """How much nodes matter, from effects or estimates of them for every pair."""
        return contributions(effects, abs_inside=self.settings.abs_inside)
