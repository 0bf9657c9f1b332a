"""Attribution patching: first-order effects of all nodes from one backward pass, and what mends it.

The effect of a node is its difference (corrupted minus clean activation) times the gradient of the
metric at it on the clean prompt (AtP; Kramar et al. 2024, arXiv 2403.00745, equation 4). Two
changes make it AtP*: attention weights are computed anew for patched queries and keys
(softmax_fix.py), and with GradDrop the magnitudes are averaged over backward passes that each cut
one layer, so that direct and indirect effects that cancel do not hide a node (equation 11).

Cutting a layer changes no gradient above it, so all cut passes share one trunk: behind layer l they
are the pass itself and one row for each layer above l, and n cuts cost about (n + 1) / 2 passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.attention import AttentionChange
from benchmark.effects.half_layers import HalfLayer, RecordedPass, Stream, recorded_pass
from benchmark.effects.nodes.nodes import Nodes
from benchmark.effects.nodes.patching import run_of_sites
from benchmark.forward.layers import positions_of
from benchmark.meter import count_parts
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.sites import Site, SiteValues
from benchmark.transformer.transformer import Transformer

OfSite = Float[Tensor, "batch units pos"]


class Cut(Enum):
    """What GradDrop cuts at a time: a whole block, or its attention or MLP alone."""

    block = "block"
    half_layer = "half_layer"


@dataclass(frozen=True)
class AtPVariant:
    """What is done beyond plain attribution patching.

    Attributes:
        fix_softmax: compute attention weights anew for patched queries and keys.
        cut: average magnitudes over backward passes with one of these cut, or None for one pass.
    """

    fix_softmax: bool
    cut: Cut | None

    def n_cuts(self, n_layers: int) -> int:
        """Backward passes that are averaged."""
        return 0 if self.cut is None else n_layers * (1 if self.cut is Cut.block else 2)


def node_effects(
    model: Transformer,
    batch: Batch,
    nodes: Nodes,
    objective: Objective,
    variant: AtPVariant,
    *,
    keep_first: bool,
) -> Float[Tensor, "batch nodes"]:
    """Estimated effects of patching each node by itself, for each prompt pair.

    They are signed, or magnitudes if passes with cuts are averaged.

    Args:
        model: the model.
        batch: the pairs; the clean prompts are run and get the corrupted ones' activations.
        nodes: which nodes.
        objective: the metric.
        variant: what is done beyond plain attribution patching.
        keep_first: leave position 0 (BOS) as it is.
    """
    batch = batch.to(model.device)
    replacement, _, _ = run_of_sites(model, batch.corrupted)
    clean = recorded_pass(model, batch, objective)
    if keep_first:
        replacement = replacement.with_first_of(clean.sites)
    return _Estimator(model, batch, nodes, variant, clean, replacement).effects()


class _Estimator:
    """Sends the gradients back half layer by half layer, and sums up what they tell of nodes."""

    def __init__(
        self,
        model: Transformer,
        batch: Batch,
        nodes: Nodes,
        variant: AtPVariant,
        clean: RecordedPass,
        replacement: SiteValues,
    ) -> None:
        self._model, self._batch, self._nodes, self._variant = model, batch, nodes, variant
        self._clean, self._replacement = clean, replacement
        self._n_cuts = variant.n_cuts(model.shape.n_layers)
        self._found: dict[tuple[int, Site], OfSite] = {}

    def effects(self) -> Float[Tensor, "batch nodes"]:
        rows = [self._clean.arrived]
        for layer in reversed(range(self._model.shape.n_layers)):
            rows = self._through(layer, rows)
        places = ((layer, site) for layer, site, _ in self._nodes.places())
        return self._nodes.joined([self._found[place] for place in places])

    def _through(self, layer: int, rows: list[Stream]) -> list[Stream]:
        """Gradients before a layer from those behind it; the first is that without a cut."""
        attention, mlp = self._clean.halves[2 * layer : 2 * layer + 2]
        back = self._of_half(mlp, rows)
        between = rows if self._model.graph.parallel else _added(rows, back)
        if self._variant.cut is Cut.half_layer:
            # Without the MLP, attention gets what arrived behind the block.
            between, back = [*between, rows[0]], [*back, torch.zeros_like(rows[0])]
        before = _added(between, self._of_half(attention, between))
        if self._model.graph.parallel:
            before = _added(before, back)
        if self._variant.cut is Cut.block:
            before.append(rows[0])
        elif self._variant.cut is Cut.half_layer:
            before.append(between[0] + back[0] if self._model.graph.parallel else between[0])
        return before

    def _of_half(self, half: HalfLayer, rows: Sequence[Stream]) -> list[Stream]:
        """Gradients at a half layer's input, after adding what the rows tell of its nodes."""
        change, differences = self._attention_change(half), self._differences(half)
        arrived, first, magnitudes = [], {}, {}
        for number, row in enumerate(rows):
            at_input, gradients = half.pull_back(row)
            arrived.append(at_input)
            found = self._first_order(differences, gradients, change)
            if number == 0:
                first = found
            for site, effect in found.items():
                if number:
                    magnitudes[site] = magnitudes.get(site, 0) + effect.abs()
        count_parts(backward=(len(rows) - 1) * len(self._batch) / len(self._clean.halves))
        for site, effect in first.items():
            summed = magnitudes.get(site, torch.zeros_like(effect))
            self._found[half.layer, site] = self._averaged(effect, summed, len(rows) - 1)
        return arrived

    def _averaged(self, effect: OfSite, magnitudes: OfSite, n_rows: int) -> OfSite:
        """Equation 11, from the summed magnitudes of the rows with a cut above.

        Cuts below a node leave its effect as it is, and its own cut leaves nothing of it.
        """
        if self._n_cuts == 0:
            return effect
        n_others = self._n_cuts - 1
        return ((n_others - n_rows) * effect.abs() + magnitudes) / n_others

    def _differences(self, half: HalfLayer) -> dict[Site, Tensor]:
        """Corrupted minus clean activations at the nodes' sites, in the stream's precision."""
        dtype, replacement = self._model.stream_dtype, self._replacement.layers[half.layer]
        return {
            site: replacement[site].to(dtype) - clean.detach().to(dtype)
            for site, clean in half.sites.items()
            if site in self._nodes.kind.sites
        }

    def _first_order(
        self,
        differences: dict[Site, Tensor],
        gradients: dict[Site, Tensor],
        change: AttentionChange | None,
    ) -> dict[Site, OfSite]:
        found = {site: _product(site, x, gradients[site]) for site, x in differences.items()}
        if change is not None:
            found |= change.effects(gradients[Site.z])
        together = self._nodes.n_positions == 1
        return {site: x.sum(-1, keepdim=True) if together else x for site, x in found.items()}

    def _attention_change(self, half: HalfLayer) -> AttentionChange | None:
        wanted = self._variant.fix_softmax and Site.q in self._nodes.kind.sites
        if not wanted or Site.q not in half.sites:
            return None
        clean = {site: x.detach() for site, x in half.sites.items()}
        block = self._model.weights.layers[half.layer].attention
        positions = positions_of(self._model, self._batch.clean)
        visible = positions.visible_or_causal(positions.visible(block.window))
        replacement, together = self._replacement.layers[half.layer], self._nodes.n_positions == 1
        return AttentionChange(block, clean, replacement, visible, keys_together=together)


def _product(site: Site, difference: Tensor, gradient: Tensor) -> OfSite:
    """Difference times gradient, summed over a node's own coordinates."""
    product = (difference * gradient)[:, 0]
    return product[0].mT if site is Site.neuron else product.sum(-1).transpose(0, 1)


def _added(rows: Sequence[Stream], more: Sequence[Stream]) -> list[Stream]:
    return [row + other for row, other in zip(rows, more, strict=True)]
