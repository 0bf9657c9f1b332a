"""First-order effects of edges, nodes and neurons: passes with taps, at one or many inputs.

The products of differences and gradients are formed in taps.py, while a pass goes back.

Effects are sums over the prompts of a batch; divide by the number of prompts. They are positive
where keeping the live value, instead of the ablation's, raises the objective.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.edges.differences import Differences
from benchmark.effects.edges.taps import EffectSums, Held, TappedStream
from benchmark.forward.checks import check_read_positions, fitted_values
from benchmark.forward.layers import embedded, positions_of, run, run_layers
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.passes import clean_run, empty_record
from benchmark.forward.values import SourceValues
from benchmark.meter import count_passes
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class Effects:
    """Sums over prompts.

    Attributes:
        edges: of every edge.
        neurons: of every coordinate of what each source writes into the residual stream.
    """

    edges: Float[Tensor, "src dst"]
    neurons: Float[Tensor, "src d_model"]

    def __add__(self, other: "Effects") -> "Effects":
        """The sum over both."""
        return Effects(self.edges + other.edges, self.neurons + other.neurons)

    def of_sources(self, sources: slice) -> "Effects":
        """Those of some sources alone."""
        edges, neurons = torch.zeros_like(self.edges), torch.zeros_like(self.neurons)
        edges[sources], neurons[sources] = self.edges[sources], self.neurons[sources]
        return Effects(edges, neurons)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Effects":
        """The same change to both."""
        return Effects(change(self.edges), change(self.neurons))

    def scaled(self, factor: float) -> "Effects":
        """All of them times a number."""
        return self.map(lambda x: x * factor)


@dataclass(frozen=True, eq=False)
class CleanRun:
    """A batch with what every attribution of it starts from.

    Attributes:
        batch: the prompts, on the model's device.
        live: the clean value of every source.
        differences: live minus ablation values.
        logits: the full model's, at the read positions.
    """

    batch: Batch
    live: SourceValues
    differences: Differences
    logits: Float[Tensor, "batch vocab"]

    @classmethod
    def of(cls, model: Transformer, batch: Batch, replacement: SourceValues) -> "CleanRun":
        """Run the clean prompts once, without gradient."""
        batch, replacement = _checked(model, batch, replacement)
        logits, live = clean_run(model, batch.clean, batch.read_at)
        return cls(batch, live, Differences.of(model, live, replacement, batch.read_at), logits)

    def inputs_at(self, shares: Sequence[float]) -> Float[Tensor, "points batch pos d_model"]:
        """Embeddings on the straight line from the ablation's (share 0) to the clean ones (1)."""
        difference = self.differences.everywhere[0]
        return torch.stack([self.live.input[0] - (1 - share) * difference for share in shares])


def effects_at_clean(
    model: Transformer,
    batch: Batch,
    replacement: SourceValues,
    objective: Objective,
    sums: type[EffectSums] = EffectSums,
) -> Effects:
    """The effects at the clean prompts: one pass, which records the live values on its way."""
    batch, replacement = _checked(model, batch, replacement)
    effects = sums(model.graph, replacement.input)
    x = embedded(model, batch.clean)[None, None].requires_grad_()
    stream = TappedStream(x, effects, record=empty_record(model, *batch.clean.shape))
    logits = run(model, stream, batch.clean, batch.read_at)[0]
    effects.differences = Differences.of(model, stream.source_values(), replacement, batch.read_at)
    torch.autograd.grad(objective(logits, batch, logits[0].detach()).sum(), x)
    return Effects(effects.edges, effects.neurons)


def effects_at_inputs(
    model: Transformer,
    clean: CleanRun,
    inputs: Float[Tensor, "points batch pos d_model"],
    objective: Objective,
) -> Effects:
    """The mean effects with the embeddings replaced by each of several.

    The differences are those of the clean prompts at every point (Hanna et al. 2024, arXiv
    2403.17806, equation 4).
    """
    effects = EffectSums(model.graph, inputs)
    effects.differences = clean.differences
    at_once = rows_that_fit(model, *clean.batch.clean.shape)
    for points in inputs.split(at_once):
        x = points[None].detach().requires_grad_()
        stream = TappedStream(x, effects)
        logits = run(model, stream, clean.batch.clean, clean.batch.read_at)[0]
        torch.autograd.grad(objective(logits, clean.batch, clean.logits).sum(), x)
    return Effects(effects.edges, effects.neurons).scaled(1 / len(inputs))


def effects_at_activations(
    model: Transformer,
    clean: CleanRun,
    shares: Sequence[float],
    objective: Objective,
    *,
    own: bool,
) -> Effects:
    """The mean effects with one sublayer's output at a time between its ablated and clean values.

    The sublayers are the input, each layer's heads together, and each MLP; the held output gets no
    gradient. Every pass starts at its sublayer's layer, and what it tells of the layers before,
    where all passes are the clean one, flows back through a single pass (gradients add up).

    Args:
        model: the model.
        clean: the batch.
        shares: how far from the ablated (0) to the clean value (1).
        objective: what is attributed.
        own: credit only edges out of the held sublayer (as in Marks et al. 2024, arXiv 2403.19647);
            otherwise every pass credits all edges, and the sum is divided by the sublayers too
            (Hanna et al. 2024, "activations").
    """
    total = effects_at_inputs(model, clean, clean.inputs_at(shares), objective)
    total = total.of_sources(slice(0, 1)) if own else total
    leaf = embedded(model, clean.batch.clean)[None, None].requires_grad_()
    sweep, starts = EffectSums(model.graph, leaf), []
    with torch.set_grad_enabled(not own):
        stream = TappedStream(leaf, sweep)
        positions = positions_of(model, clean.batch.clean)
        run_layers(model, stream, positions, before_layer=lambda _: starts.append(stream.x))
    # Gradients reach what each layer begins with, but nothing behind the last.
    count_passes(starts[-1], len(clean.batch))
    arrived = []
    for layer, start in enumerate(starts):
        held = [_held(model, clean, layer, heads, shares) for heads in (True, False)]
        results = [_held_pass(model, clean, start, each, objective, own) for each in held]
        arrived.append(results[0][1] + results[1][1])
        total = total + results[0][0] + results[1][0]
    if own:
        return total
    sweep.differences = clean.differences
    torch.autograd.grad(starts, leaf, arrived)
    total = total + Effects(sweep.edges, sweep.neurons)
    return total.scaled(1 / (1 + 2 * model.shape.n_layers))


def _held(
    model: Transformer, clean: CleanRun, layer: int, heads: bool, shares: Sequence[float]
) -> Held:
    """A sublayer at points between its ablated and its clean value."""
    graph = model.graph
    stop = graph.mlp_source(layer) + (not heads)
    first = graph.head_source(layer) if heads else stop - 1
    last = layer == model.shape.n_layers - 1
    difference = clean.differences.at(focused=last)[first:stop]
    below = torch.tensor(shares, device=model.device, dtype=difference.dtype) - 1
    return Held(layer, slice(first, stop), below[:, None, None, None] * difference.sum(0))


def _held_pass(
    model: Transformer,
    clean: CleanRun,
    start: Float[Tensor, "1 1 batch pos d_model"],
    held: Held,
    objective: Objective,
    own: bool,
) -> tuple[Effects, Float[Tensor, "1 1 batch pos d_model"]]:
    """Mean effects over the points, and unless `own` the mean gradient where the layer starts."""
    effects = EffectSums(model.graph, start, held.sources if own else None)
    effects.differences = clean.differences
    tokens, read_at = clean.batch.clean, clean.batch.read_at
    arrived = torch.zeros_like(start)
    for offset in held.offset.split(rows_that_fit(model, *tokens.shape)):
        x = start.detach().requires_grad_(not own)
        part = replace(held, offset=offset.detach().requires_grad_(own))
        stream = TappedStream(x, effects, held=part, starts_at_input=False)
        logits = run(model, stream, tokens, read_at, start_layer=held.layer)[0]
        total = objective(logits, clean.batch, clean.logits).sum()
        (gradient,) = torch.autograd.grad(total, part.offset if own else x)
        arrived += 0 if own else gradient
    n_points = len(held.offset)
    return Effects(effects.edges, effects.neurons).scaled(1 / n_points), arrived / n_points


def _checked(
    model: Transformer, batch: Batch, replacement: SourceValues
) -> tuple[Batch, SourceValues]:
    check_read_positions(replacement.keep_first, batch)
    batch = batch.to(model.device)
    return batch, fitted_values(model, replacement, 1, batch)
