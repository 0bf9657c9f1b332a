"""Activation patching: a run of one prompt with some nodes overwritten by their values on another.

The intervention effect of a set of nodes is the metric of the patched run minus that of the run
without patches (Kramar et al. 2024, arXiv 2403.00745, equation 3). Rows of a pass are sets of
nodes; prompts share the pass. What lies before the first patched layer is computed once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.effects.nodes.nodes import Nodes, Patches
from benchmark.forward.layers import embedded, positions_of, run, run_layers, unembedded
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.streams import PlainStream
from benchmark.forward.values import at_positions
from benchmark.meter import count_passes
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.sites import AtLayerSite, Site, SiteValues
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True, eq=False)
class SiteRun:
    """A batch of prompt pairs with the unpatched run that every patch starts from.

    Attributes:
        batch: the pairs, on the model's device; `clean` is run, `corrupted` gives the values.
        sites: what the clean prompts have at every site.
        replacement: the corrupted prompts' values there, clean ones at a kept first position.
        starts: the residual stream before each layer.
        logits: the unpatched run's, at the read positions.
    """

    batch: Batch
    sites: SiteValues
    replacement: SiteValues
    starts: tuple[Float[Tensor, "1 1 batch pos d_model"], ...]
    logits: Float[Tensor, "batch vocab"]

    @classmethod
    @torch.no_grad()
    def of(cls, model: Transformer, batch: Batch, *, keep_first: bool) -> "SiteRun":
        """Run both prompts of every pair once.

        Args:
            model: the model.
            batch: the pairs.
            keep_first: leave position 0 (BOS) as it is on the clean prompt.
        """
        batch = batch.to(model.device)
        sites, starts, x = run_of_sites(model, batch.clean)
        replacement, _, _ = run_of_sites(model, batch.corrupted)
        at_reads = at_positions(x, batch.read_at[:, None])
        logits = unembedded(model, at_reads)[0, 0, :, 0]
        kept = replacement.with_first_of(sites) if keep_first else replacement
        return cls(batch, sites, kept, tuple(starts), logits)

    def of_pair(self, index: int) -> "SiteRun":
        """One pair of the batch by itself."""
        own = slice(index, index + 1)
        only = torch.tensor([index], device=self.batch.clean.device)
        sites, replacement = (
            values.map(lambda x: x[..., own, :, :]) for values in (self.sites, self.replacement)
        )
        starts = tuple(x[..., own, :, :] for x in self.starts)
        return SiteRun(self.batch.select(only), sites, replacement, starts, self.logits[own])


@torch.no_grad()
def run_of_sites(
    model: Transformer, tokens: Tensor
) -> tuple[SiteValues, list[Tensor], Float[Tensor, "1 1 batch pos d_model"]]:
    """Every site's activation, the stream before each layer, and the final one, of one pass."""
    layers: list[dict[Site, Tensor]] = [{} for _ in range(model.shape.n_layers)]
    starts: list[Tensor] = []

    def keep(layer: int, site: Site, activation: Tensor) -> Tensor:
        layers[layer][site] = activation
        return activation

    stream = PlainStream(embedded(model, tokens)[None, None])
    positions = positions_of(model, tokens)
    run_layers(model, stream, positions, before_layer=lambda _: starts.append(stream.x), at=keep)
    count_passes(stream.x, len(tokens))
    return SiteValues(tuple(layers)), starts, stream.x


@torch.no_grad()
def set_effects(
    model: Transformer,
    clean: SiteRun,
    nodes: Nodes,
    chosen: Bool[Tensor, "rows prompts nodes"],
    objective: Objective,
) -> Float[Tensor, "rows batch"]:
    """The effect of patching sets of nodes together, each prompt its own set if it has one."""
    at_once = rows_that_fit(model, *clean.batch.clean.shape, with_gradient=False)

    def of_part(part: Tensor) -> Tensor:
        found = patched_effects(model, clean, nodes.patches(part, model.device), objective)
        # Rows without any patch come back as one.
        return found.expand(len(part), -1)

    return torch.cat([of_part(part) for part in chosen.split(at_once)])


@torch.no_grad()
def patched_effects(
    model: Transformer, clean: SiteRun, patches: Patches, objective: Objective
) -> Float[Tensor, "rows batch"]:
    """The metric with these patches minus that without; one pass from the first patched layer."""
    if not patches:
        return clean.logits.new_zeros(1, len(clean.batch))
    first = min(layer for layer, _ in patches)
    batch, stream = clean.batch, PlainStream(clean.starts[first])
    at = _overwriting(model, clean, patches)
    logits = run(model, stream, batch.clean, batch.read_at, start_layer=first, at=at)[0]
    unpatched = objective(clean.logits, batch, clean.logits)
    return objective(logits, batch, clean.logits) - unpatched


def _overwriting(model: Transformer, clean: SiteRun, patches: Patches) -> AtLayerSite:
    reads = clean.batch.read_at[:, None]
    last = model.shape.n_layers - 1

    def at(layer: int, site: Site, live: Tensor) -> Tensor:
        if (layer, site) not in patches:
            return live
        replacement = clean.replacement.layers[layer][site]
        chosen = _as_activations(patches[layer, site], site)
        if layer == last and site not in (Site.k, Site.v):
            replacement, chosen = (at_positions(x, reads) for x in (replacement, chosen))
        return torch.where(chosen, replacement, live)

    return at


def _as_activations(
    chosen: Bool[Tensor, "units rows prompts pos"], site: Site
) -> Bool[Tensor, "heads rows prompts pos d"]:
    """A choice of nodes with the axes of the activations at their site."""
    return chosen.permute(1, 2, 3, 0)[None] if site is Site.neuron else chosen[..., None]
