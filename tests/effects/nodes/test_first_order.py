"""AtP and its variants against brute force, on every family."""

import pytest
import torch
from support.prompts import random_batch
from support.values import largest

from benchmark.effects.attention import AttentionChange
from benchmark.effects.half_layers import recorded_pass
from benchmark.effects.nodes.exact import exact_node_effects
from benchmark.effects.nodes.first_order import AtPVariant, Cut, node_effects
from benchmark.effects.nodes.names import SITE_LETTERS
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.effects.nodes.patching import SiteRun, run_of_sites, set_effects
from benchmark.forward.layers import embedded, positions_of, run
from benchmark.forward.streams import PlainStream
from benchmark.meter import metering
from benchmark.metric import LogitDifference, OverWrong
from benchmark.models.loading import load_model
from benchmark.transformer.sites import Site

PLAIN = AtPVariant(fix_softmax=False, cut=None)
METRIC = LogitDifference(OverWrong.mean)


def pairs(model, n_prompts=3, n_positions=6):
    return random_batch(n_prompts=n_prompts, n_positions=n_positions, same_length=True)


def nodes_of(model, batch, kind=NodeKind.all, together=False):
    return Nodes(kind, model.shape, 1 if together else batch.n_positions)


def estimated(model, batch, nodes, variant, objective=METRIC):
    return node_effects(model, batch, nodes, objective, variant, keep_first=False)


def with_activations(model, batch, change):
    """Logits of the clean prompts with activations changed by `change(layer, site, x)`."""
    stream = PlainStream(embedded(model, batch.clean)[None, None])
    return run(model, stream, batch.clean, batch.read_at, focus_last_layer=False, at=change)[0, 0]


def test_atp_is_the_derivative_along_each_difference(model):
    batch = pairs(model)
    nodes = nodes_of(model, batch)
    found = estimated(model, batch, nodes, PLAIN)
    replacement, _, _ = run_of_sites(model, batch.corrupted)
    step = 1e-5
    draw = torch.Generator().manual_seed(0)
    for node in torch.randperm(len(nodes), generator=draw)[:12].tolist():
        chosen = torch.zeros(1, 1, len(nodes), dtype=torch.bool)
        chosen[..., node] = True
        up, down = (
            moved(model, batch, nodes.patches(chosen, model.device), replacement, sign * step)
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * step)
        assert largest(slope, found[:, node]) < 1e-6 * max(1, float(slope.abs().max()))


def moved(model, batch, patches, replacement, share):
    """The metric with the patched activations moved by a share of the way to the replacement'."""

    def change(layer, site, x):
        if (layer, site) not in patches:
            return x
        mask = patches[layer, site]
        kept = mask.permute(1, 2, 3, 0)[None] if site is Site.neuron else mask[..., None]
        return x + kept * share * (replacement.layers[layer][site] - x)

    logits = with_activations(model, batch, change)
    return METRIC(logits, batch, logits)


@pytest.mark.parametrize("together", [False, True])
def test_the_softmax_is_computed_anew_for_queries_and_keys(model, together):
    """Each query or key patched by brute force, with what comes behind the weights linear."""
    batch = pairs(model)
    nodes = nodes_of(model, batch, NodeKind.attention, together)
    found = estimated(model, batch, nodes, AtPVariant(fix_softmax=True, cut=None))
    plain = estimated(model, batch, nodes, PLAIN)
    clean, replacement = (
        run_of_sites(model, tokens)[0] for tokens in (batch.clean, batch.corrupted)
    )
    halves = recorded_pass(model, batch, METRIC)
    for layer, site, where in nodes.places():
        if site not in (Site.q, Site.k):
            assert torch.equal(found[:, where], plain[:, where])
            continue
        gradient = gradient_at_outputs(model, halves, layer)
        units, positions = nodes.units(site), nodes.n_positions
        got = found[:, where].view(-1, units, positions)
        for unit in range(units):
            for position in range(positions):
                patched = dict(clean.layers[layer])
                patched[site] = patched[site].clone()
                at = slice(None) if together else position
                patched[site][unit, ..., at, :] = replacement.layers[layer][site][unit, ..., at, :]
                moved = outputs(model, batch, layer, patched)
                change = moved - outputs(model, batch, layer, clean.layers[layer])
                wanted = (change * gradient).sum((0, 1, 3, 4))
                assert largest(got[:, unit, position], wanted) < 1e-10


def gradient_at_outputs(model, halves, layer):
    gradient = halves.arrived
    for index in reversed(range(layer, model.shape.n_layers)):
        attention, mlp = halves.halves[2 * index : 2 * index + 2]
        through_mlp = mlp.pull_back(gradient)[0]
        between = gradient if model.graph.parallel else gradient + through_mlp
        back, sites = attention.pull_back(between)
        if index == layer:
            return sites[Site.z]
        gradient = between + back + (through_mlp if model.graph.parallel else 0)
    return None


def outputs(model, batch, layer, sites):
    """Heads' outputs [heads, 1, batch, pos, d_head] from given queries, keys and values."""
    block = model.weights.layers[layer].attention
    q, k, v = (sites[site] for site in (Site.q, Site.k, Site.v))
    k, v = (x.repeat_interleave(len(q) // len(x), 0) for x in (k, v))
    scores = q @ k.mT * block.scale
    if block.softcap is not None:
        scores = block.softcap * torch.tanh(scores / block.softcap)
    here = torch.arange(batch.n_positions)
    seen = here <= here[:, None]
    if block.window is not None:
        seen &= here > here[:, None] - block.window
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("softmax", [False, True])
def test_shared_cuts_equal_a_backward_pass_for_each(model, cut, softmax):
    batch = pairs(model)
    nodes = nodes_of(model, batch)
    found = estimated(model, batch, nodes, AtPVariant(softmax, cut))
    n_layers = model.shape.n_layers
    units = [
        (layer, part)
        for layer in range(n_layers)
        for part in (["both"] if cut is Cut.block else ["attention", "mlp"])
    ]
    total = sum(naive(model, batch, nodes, softmax, unit).abs() for unit in units)
    assert largest(found, total / (len(units) - 1)) < 1e-9


@pytest.mark.parametrize("cut", list(Cut))
def test_cuts_share_a_trunk_of_about_half_as_many_passes(models, cut):
    model = models["llama"]
    batch = pairs(model)
    with metering() as plain:
        estimated(model, batch, nodes_of(model, batch), AtPVariant(fix_softmax=True, cut=None))
    assert (plain.forward, plain.backward) == (2 * len(batch), len(batch))
    variant = AtPVariant(fix_softmax=True, cut=cut)
    with metering() as spent:
        estimated(model, batch, nodes_of(model, batch), variant)
    n_cuts = variant.n_cuts(model.shape.n_layers)
    assert spent.forward == 2 * len(batch)
    assert spent.backward == pytest.approx(len(batch) * (n_cuts + 1) / 2)


class CutStream(PlainStream):
    """A residual stream to which one layer, or half of it, writes without gradient."""

    def __init__(self, x, unit):
        super().__init__(x)
        self.layer, self.part = unit

    def write_heads(self, layer, z, block):
        cut = layer == self.layer and self.part != "mlp"
        super().write_heads(layer, z.detach() if cut else z, block)

    def write_mlp(self, layer, out):
        cut = layer == self.layer and self.part != "attention"
        super().write_mlp(layer, out.detach() if cut else out)


def naive(model, batch, nodes, softmax, unit):
    """Estimates from one forward and one backward pass with a cut, of the plain layer loop."""
    found = {}

    def keep(layer, site, x):
        found[layer, site] = x
        return x

    stream = CutStream(embedded(model, batch.clean)[None, None].requires_grad_(), unit)
    logits = run(model, stream, batch.clean, batch.read_at, focus_last_layer=False, at=keep)[0, 0]
    total = METRIC(logits, batch, logits).sum()
    passed = torch.autograd.grad(total, found.values(), allow_unused=True)
    gradients = dict(zip(found, passed, strict=True))
    replacement, _, _ = run_of_sites(model, batch.corrupted)
    effects = []
    for layer, site, where in nodes.places():
        gradient = gradients[layer, site]
        if softmax and site in (Site.q, Site.k):
            gradient = gradients[layer, Site.z]
        if gradient is None:
            effects.append(torch.zeros(len(batch), where.stop - where.start, dtype=torch.double))
            continue
        clean = {s: found[layer, s].detach() for s in Site}
        difference = {s: replacement.layers[layer][s] - clean[s] for s in Site}
        if softmax and site in (Site.q, Site.k):
            block = model.weights.layers[layer].attention
            seen = positions_of(model, batch.clean)
            seen = seen.visible_or_causal(seen.visible(block.window))
            new = replacement.layers[layer]
            change = AttentionChange(block, clean, new, seen, keys_together=False)
            effects.append(change.effects(gradient)[site].flatten(1))
        else:
            product = difference[site] * gradient
            if site is not Site.neuron:
                product = product.sum(-1)[:, 0].transpose(0, 1)
            else:
                product = product[0, 0].transpose(1, 2)
            effects.append(product.flatten(1))
    return torch.cat(effects, 1)


@pytest.mark.parametrize("kind", [NodeKind.attention, NodeKind.neurons])
@pytest.mark.parametrize("together", [False, True])
def test_exhaustive_patching_equals_patching_each_node_alone(model, kind, together):
    batch = pairs(model, n_prompts=2, n_positions=5)
    nodes = nodes_of(model, batch, kind, together)
    clean = SiteRun.of(model, batch, keep_first=False)
    found = torch.cat(
        [exact_node_effects(model, clean, nodes, i, METRIC) for i in range(model.shape.n_layers)], 1
    )
    assert found.shape == (2, len(nodes))
    draw = torch.randperm(len(nodes), generator=torch.Generator().manual_seed(1))[:25]
    alone = torch.nn.functional.one_hot(draw, len(nodes)).bool()[:, None]
    wanted = set_effects(model, clean, nodes, alone, METRIC)
    assert largest(found[:, draw].T, wanted) < 1e-12
    assert float(wanted.abs().max()) > 1e-3


def test_sets_of_nodes_take_the_values_of_the_corrupted_run(model):
    """All sites at all positions of a layer patched: what it writes is the corrupted run's."""
    batch = pairs(model)
    nodes = nodes_of(model, batch)
    clean = SiteRun.of(model, batch, keep_first=False)
    replacement = clean.replacement.layers[0]

    def change(layer, site, x):
        return replacement[site] if layer == 0 and site in (Site.z, Site.neuron) else x

    wanted = METRIC(with_activations(model, batch, change), batch, clean.logits)
    chosen = torch.zeros(1, 1, len(nodes), dtype=torch.bool)
    chosen[..., nodes.of_layer(0)] = True
    found = set_effects(model, clean, nodes, chosen, METRIC)
    assert largest(found[0], wanted - METRIC(clean.logits, batch, clean.logits)) < 1e-12
    assert largest(set_effects(model, clean, nodes, ~chosen & chosen, METRIC), found * 0) == 0


def test_each_prompt_may_have_a_set_of_its_own(gpt2):
    batch = pairs(gpt2)
    nodes = nodes_of(gpt2, batch)
    clean = SiteRun.of(gpt2, batch, keep_first=False)
    draw = torch.Generator().manual_seed(0)
    chosen = torch.rand(4, len(batch), len(nodes), generator=draw) < 0.1
    found = set_effects(gpt2, clean, nodes, chosen, METRIC)
    for prompt in range(len(batch)):
        alone = set_effects(gpt2, clean, nodes, chosen[:, prompt : prompt + 1], METRIC)
        assert largest(found[:, prompt], alone[:, prompt]) < 1e-12


def test_a_kept_first_position_has_no_effect(gpt2):
    batch = pairs(gpt2)
    nodes = nodes_of(gpt2, batch)
    clean = SiteRun.of(gpt2, batch, keep_first=True)
    first = nodes.description["position"] == 0
    exact = torch.cat(
        [exact_node_effects(gpt2, clean, nodes, layer, METRIC) for layer in range(2)], 1
    )
    for variant in (PLAIN, AtPVariant(True, Cut.block)):
        found = node_effects(gpt2, batch, nodes, METRIC, variant, keep_first=True)
        assert (
            float(found[:, first].abs().max()) == 0 < float(found[:, ~first].abs().min(0)[0].max())
        )
    assert float(exact[:, first].abs().max()) == 0 < float(exact.abs().max())


def test_nodes_of_the_last_layer_have_direct_effects_alone(gpt2):
    """A cut changes nothing of them, so the average over cuts is the magnitude itself."""
    batch = pairs(gpt2)
    nodes = nodes_of(gpt2, batch)
    plain, averaged = (
        estimated(gpt2, batch, nodes, variant) for variant in (PLAIN, AtPVariant(False, Cut.block))
    )
    last = nodes.of_layer(gpt2.shape.n_layers - 1)
    assert largest(averaged[:, last], plain[:, last].abs()) < 1e-12


def test_names_and_description_agree(gpt2):
    nodes = Nodes(NodeKind.all, gpt2.shape, 6)
    assert len(nodes) == len(nodes.description["layer"])
    names = [nodes.name(node) for node in range(len(nodes))]
    assert len(set(names)) == len(nodes)
    assert names[0] == "a0.h0<q>@0" and names[-1] == f"m1.n{gpt2.shape.d_mlp - 1}@5"
    assert Nodes(NodeKind.neurons, gpt2.shape, 1).name(3) == "m0.n3"
    assert [site.value for site in Site] == list(SITE_LETTERS)


def test_half_precision_weights_give_the_same_nodes(model_directories):
    """Activations are in bfloat16, effects in float32; they agree up to the weights' rounding."""
    exact, rounded = (
        load_model(model_directories["llama"], dtype=d) for d in ("float32", "bfloat16")
    )
    batch = pairs(exact)
    star = AtPVariant(fix_softmax=True, cut=Cut.block)
    found = [estimated(model, batch, nodes_of(model, batch), star) for model in (exact, rounded)]
    assert found[1].dtype == torch.float32
    together = torch.corrcoef(torch.stack([x.flatten() for x in found]))[0, 1]
    assert float(together) > 0.99
