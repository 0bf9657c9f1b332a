"""Exhaustive activation patching: the effect of every node by itself.

A pass for every node and prompt, from the node's layer on, many nodes at once as rows. Nodes that
cannot have an effect are not run: those whose values agree on both prompts of every pair, and in
the last layer queries, outputs and neurons at positions that are not read.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.effects.nodes.nodes import Nodes
from benchmark.effects.nodes.patching import SiteRun, patched_effects
from benchmark.forward.memory import rows_that_fit
from benchmark.metric import Objective
from benchmark.transformer.sites import Site
from benchmark.transformer.transformer import Transformer


@torch.no_grad()
def exact_node_effects(
    model: Transformer, clean: SiteRun, nodes: Nodes, layer: int, objective: Objective
) -> Float[Tensor, "batch layer_nodes"]:
    """The intervention effect of every node of a layer, for every pair."""
    found = [_of_site(model, clean, nodes, layer, site, objective) for site in nodes.kind.sites]
    return torch.cat(found, 1)


@torch.no_grad()
def passes_for(
    model: Transformer, clean: SiteRun, nodes: Nodes, layer: int
) -> Float[Tensor, " batch"]:
    """Forward passes for the nodes of a layer that can have an effect on each pair by itself.

    Pairs that share a batch share its rows, so a batch may run more; how prompts are batched
    changes no cost.
    """
    n_layers = model.shape.n_layers
    able = [_able(model, clean, nodes, layer, site).sum((0, 2)) for site in nodes.kind.sites]
    return torch.stack(able).sum(0).double() * ((n_layers - layer) / n_layers)


def _of_site(
    model: Transformer,
    clean: SiteRun,
    nodes: Nodes,
    layer: int,
    site: Site,
    objective: Objective,
) -> Float[Tensor, "batch site_nodes"]:
    able = _able(model, clean, nodes, layer, site).any(1)
    effects = clean.logits.new_zeros(len(clean.batch), *able.shape)
    places = able.nonzero()
    for part in places.split(_rows_at_once(model, clean)):
        alone = _alone(part, able.shape)
        rows = patched_effects(model, clean, {(layer, site): alone}, objective)
        effects[:, part[:, 0], part[:, 1]] = rows.T
    return effects.flatten(1)


def _alone(places: Int[Tensor, "rows 2"], sizes: torch.Size) -> Bool[Tensor, "units rows 1 pos"]:
    """A row for each node, in which it is patched alone."""
    n_units, n_positions = sizes
    alone = torch.zeros(
        n_units, len(places), 1, n_positions, dtype=torch.bool, device=places.device
    )
    alone[places[:, 0], torch.arange(len(places), device=places.device), 0, places[:, 1]] = True
    return alone


def _able(
    model: Transformer, clean: SiteRun, nodes: Nodes, layer: int, site: Site
) -> Bool[Tensor, "units batch pos"]:
    """Which nodes of a site can have an effect on which pair."""
    live, replacement = (values.layers[layer][site] for values in (clean.sites, clean.replacement))
    differs = live != replacement
    by_unit = differs[0].any(0).permute(2, 0, 1) if site is Site.neuron else differs[:, 0].any(-1)
    if layer == model.shape.n_layers - 1 and site not in (Site.k, Site.v):
        by_unit = by_unit & (
            torch.arange(by_unit.shape[-1], device=by_unit.device) == clean.batch.read_at[:, None]
        )
    return by_unit.any(-1, keepdim=True) if nodes.n_positions == 1 else by_unit


def _rows_at_once(model: Transformer, clean: SiteRun) -> int:
    return rows_that_fit(model, *clean.batch.clean.shape, with_gradient=False)
