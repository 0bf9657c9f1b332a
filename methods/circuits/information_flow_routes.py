"""Information flow routes (Ferrando & Voita 2024, arXiv 2403.00824), on edges.

How near a source comes to what a reader reads, in the L1 norm: max(0, |x|_1 - |x - a|_1) for the
reader's residual stream x and the source's part a in it, as a share of the sum over the reader's
sources, averaged over positions and prompts. One forward pass of the clean prompts, without a
metric or an ablation; as in the library of Hanna et al. (2024) all heads of a layer read alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.edges.differences import written
from benchmark.forward.passes import source_values
from benchmark.graph.graph import Stage
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer
from methods.circuits.scoring.selection import Selection, circuits_of_sizes
from methods.ranges import check_counts

SMALLEST_SUM = 1e-12


@dataclass(frozen=True)
class InformationFlowRoutes:
    """Settings of information flow routes; see conf/method/information_flow_routes.yaml."""

    selection: Selection
    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the range."""
        check_counts(self, "batch_size")

    def unsupported(self, problem: Problem) -> str | None:
        """Any problem will do."""
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """The edges that carry most."""
        return circuits_of_sizes(self.scores(problem), sizes, self.selection, absolute=False)

    @torch.no_grad()
    def scores(self, problem: Problem) -> EdgeScores:
        """The mean share of each source in what a reader reads."""
        total, model = torch.zeros(problem.graph.exists.shape), problem.model
        batches = problem.in_batches(self.batch_size)
        for batch in batches:
            parts = written(model, source_values(model, batch.clean), range(model.shape.n_layers))
            of_batch = parts.new_zeros(total.shape)
            for stage, x in _reads(model, parts):
                shares = _mean_shares(x, parts[: stage.n_sources], batch.to(model.device))
                of_batch[: stage.n_sources, stage.destinations] = shares[:, None]
            total += of_batch.float().cpu()
        return EdgeScores(problem.graph, total / sum(map(len, batches)), signed=True)


def _reads(
    model: Transformer, parts: Float[Tensor, "src batch pos d_model"]
) -> Iterator[tuple[Stage, Float[Tensor, "batch pos d_model"]]]:
    """The residual stream that each stage reads: its sources, and biases that belong to none."""
    graph, bias = model.graph, parts.new_zeros(parts.shape[-1])
    for layer, block in enumerate(model.weights.layers):
        stage = graph.qkv_stage(layer)
        yield stage, parts[: stage.n_sources].sum(0) + bias
        b_O = block.attention.b_O
        bias_before, bias = bias, bias if b_O is None else bias + b_O
        stage = graph.mlp_stage(layer)
        yield stage, parts[: stage.n_sources].sum(0) + (bias_before if graph.parallel else bias)
    yield graph.logits_stage(), parts.sum(0) + bias


def _mean_shares(
    x: Float[Tensor, "batch pos d_model"],
    parts: Float[Tensor, "src batch pos d_model"],
    batch: Batch,
) -> Float[Tensor, " src"]:
    """The shares averaged over each prompt's positions, summed over prompts."""
    whole = x.abs().sum(-1)
    near = torch.stack([whole - (x - part).abs().sum(-1) for part in parts]).clamp(min=0)
    shares = near / near.sum(0).clamp(min=SMALLEST_SUM)
    return (shares * batch.real / batch.lengths[:, None]).sum((1, 2))
