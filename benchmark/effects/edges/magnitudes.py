"""Edge attribution patching with magnitudes that do not cancel: of each prompt, of each position.

An edge of the graph stands for one edge at every position (only attention moves information between
positions, and its reads and writes are nodes); the contribution of an edge is the mean over prompts
of the magnitude of its effect (Kramar et al. 2024, arXiv 2403.00745). Effects of edges into queries
and keys can have their softmax computed anew: the reader's own query, or key, is computed for each
source without its difference, and what it does to the attention weights is exact.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.attention import AttentionChange
from benchmark.effects.edges.first_order import CleanRun
from benchmark.effects.edges.taps import EffectSums
from benchmark.effects.half_layers import HalfLayer, output_gradients, recorded_pass
from benchmark.forward.layers import positions_of
from benchmark.forward.memory import most_bytes
from benchmark.graph.graph import Stage
from benchmark.metric import Objective
from benchmark.transformer import blocks
from benchmark.transformer.kernels import each_head_alone, project_heads
from benchmark.transformer.sites import Site
from benchmark.transformer.transformer import Transformer

QUERY_KEY: tuple[Site, ...] = (Site.q, Site.k)
OfEdges = Float[Tensor, "src readers batch some_pos"]


class PositionMagnitudes(EffectSums):
    """Sums over prompts and positions of the magnitudes of first-order effects."""

    def read(
        self,
        stage: Stage,
        gradient: Float[Tensor, "readers rows batch pos d_model"],
        focused: bool,
    ) -> None:
        """Add what the readers of a stage tell."""
        assert self.differences is not None
        differences = self.differences.of_stage(stage, focused)
        found = self.magnitudes(differences, gradient[:, 0])
        self.edges[: stage.n_sources, stage.destinations] += found

    @staticmethod
    def magnitudes(
        differences: Float[Tensor, "src batch pos d_model"],
        gradient: Float[Tensor, "readers batch pos d_model"],
    ) -> Float[Tensor, "src readers"]:
        """Of each prompt and position by itself."""
        by_place = (x.permute(1, 2, 0, 3).flatten(0, 1) for x in (differences, gradient))
        sources, readers = by_place
        return torch.bmm(sources, readers.mT).abs().sum(0)


class PromptMagnitudes(PositionMagnitudes):
    """The same, with the effects of an edge at all positions added up before."""

    @staticmethod
    def magnitudes(
        differences: Float[Tensor, "src batch pos d_model"],
        gradient: Float[Tensor, "readers batch pos d_model"],
    ) -> Float[Tensor, "src readers"]:
        """Of each prompt by itself."""
        sources, readers = (x.transpose(0, 1).flatten(2) for x in (differences, gradient))
        return torch.bmm(sources, readers.mT).abs().sum(0)


def query_key_magnitudes(
    model: Transformer, clean: CleanRun, objective: Objective, *, positions_together: bool
) -> Iterator[tuple[Stage, Float[Tensor, "src readers"]]]:
    """For each layer, its query and key readers, and the summed magnitudes of edges into them.

    Args:
        model: the model.
        clean: the prompts, and what sources write less their ablation values.
        objective: the metric.
        positions_together: an edge is ablated at all positions at once; otherwise at each alone.
    """
    passed = recorded_pass(model, clean.batch, objective)
    for layer, gradient in output_gradients(model, passed):
        stage = model.graph.qkv_stage(layer)
        readers = Stage(stage.start, stage.start + 2 * model.shape.n_heads, stage.n_sources)
        half = passed.halves[2 * layer]
        at_once = _sources_at_once(model, clean)
        sources = clean.differences.of_stage(stage, focused=False).split(at_once)
        parts = [_fixed(model, clean, half, gradient, part, positions_together) for part in sources]
        yield readers, torch.cat(parts).abs().sum((-1, -2))


def _fixed(
    model: Transformer,
    clean: CleanRun,
    half: HalfLayer,
    gradient: Float[Tensor, "heads 1 batch pos d_head"],
    differences: Float[Tensor, "src batch pos d_model"],
    together: bool,
) -> OfEdges:
    """Effects of edges from some sources into a layer's queries, then its keys."""
    block, n_sources = model.weights.layers[half.layer].attention, len(differences)
    positions = positions_of(model, clean.batch.clean)
    x = half.x.detach() - differences[None]
    q, k = project_heads(block.norm(x), *block.projections[:2])
    # A jointly normalised query moves those of the other heads too.
    per_source = model.shape.n_heads if block.joint else 1
    if block.joint:
        clean_q, clean_k = project_heads(block.norm(half.x.detach()), *block.projections[:2])
        q, k = (each_head_alone(*pair, per_source) for pair in ((clean_q, q), (clean_k, k)))
    entering = blocks.queries_and_keys(block, q, k, positions)
    rows = (entered.flatten(1, 2)[:, None] for entered in entering)
    patched = dict(zip(QUERY_KEY, rows, strict=True))
    # Each row of a source is a batch of its own.
    repeats = 1, 1, n_sources * per_source, 1, 1
    kept = {site: half.sites[site].detach().repeat(repeats) for site in (Site.q, Site.k, Site.v)}
    visible = positions.visible_or_causal(positions.visible(block.window))
    change = AttentionChange(block, kept, patched, visible, keys_together=together)
    effects = change.of_heads(gradient.repeat(repeats))
    found = [of_heads.unflatten(1, (n_sources * per_source, -1)) for of_heads in effects]
    if block.joint:
        found = [rows.sum(0).unflatten(0, (n_sources, -1)).transpose(0, 1) for rows in found]
    if together:
        found = [of_heads.sum(-1, keepdim=True) for of_heads in found]
    return torch.cat(found).transpose(0, 1)


def _sources_at_once(model: Transformer, clean: CleanRun) -> int:
    """Sources whose rows of attention, some dozen of them, take about 4 GB."""
    n_prompts, n_positions = clean.batch.clean.shape
    shape = model.shape
    values = 12 * shape.n_heads * n_positions**2 + 12 * n_positions * shape.d_model
    values *= shape.n_heads if any(x.attention.joint for x in model.weights.layers) else 1
    return max(1, int(most_bytes() // (4 * n_prompts * values)))
