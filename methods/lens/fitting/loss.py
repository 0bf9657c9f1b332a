"""How far a lens is from what it should say, in nats, a few layers and places at a time."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.forward.states import logits_of_final
from benchmark.transformer.transformer import Transformer

# Numbers over the vocabulary that a tensor holds at most; a few of them are there at once.
NUMBERS_AT_ONCE = 2**25

Finals = Float[Tensor, "layers places d_model"]
# A row for every layer, or one that serves them all.
Targets = Float[Tensor, "rows places d_model"]


def log_probabilities(
    model: Transformer, final: Float[Tensor, "*places d_model"]
) -> Float[Tensor, "*places vocab"]:
    """What the model says, given final states."""
    return F.log_softmax(logits_of_final(model, final), -1)


@torch.no_grad()
def divergences(
    model: Transformer, finals: Finals, targets: Targets
) -> Float[Tensor, "layers places"]:
    """KL(target || lens) of every layer and place, from the final states of either.

    The target may be one row that serves every layer.
    """
    return compared(model, finals, targets)[0]


@torch.no_grad()
def compared(
    model: Transformer, finals: Finals, targets: Targets
) -> tuple[Float[Tensor, "layers places"], Bool[Tensor, "layers places"]]:
    """The same, and whether lens and target name the same token."""
    loss = finals.new_empty(finals.shape[:2])
    same = torch.empty_like(loss, dtype=torch.bool)
    for layers, places, target in _in_parts(model, finals, targets):
        wanted = log_probabilities(model, target)
        said = log_probabilities(model, finals[layers, places])
        loss[layers, places] = _divergence(said, wanted)
        same[layers, places] = said.argmax(-1) == wanted.argmax(-1)
    return loss, same


def divergences_with_gradient(
    model: Transformer, finals: Finals, targets: Targets
) -> Float[Tensor, "layers places"]:
    """The same; the mean over places, summed over layers, sends its gradient back into `finals`.

    Layers and places are taken a few at a time, so that logits of all are never in memory together.
    """
    ends = finals.detach()
    loss, gradient = ends.new_empty(ends.shape[:2]), torch.empty_like(ends)
    for layers, places, target in _in_parts(model, ends, targets):
        with torch.no_grad():
            wanted = log_probabilities(model, target)
        end = ends[layers, places].requires_grad_()
        divergence = _divergence(log_probabilities(model, end), wanted)
        (gradient[layers, places],) = torch.autograd.grad(divergence.sum() / ends.shape[1], end)
        loss[layers, places] = divergence.detach()
    finals.backward(gradient)
    return loss


def _divergence(lens: Tensor, target: Tensor) -> Float[Tensor, "layers places"]:
    return F.kl_div(lens, target.expand_as(lens), log_target=True, reduction="none").sum(-1)


def _in_parts(
    model: Transformer, finals: Tensor, targets: Tensor
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Some layers of all places, or one layer of some places, with their targets."""
    n_layers, n_places, _ = finals.shape
    rows = max(1, NUMBERS_AT_ONCE // model.shape.d_vocab)
    layers_at_once, places_at_once = max(1, rows // n_places), min(rows, n_places)
    for layer in range(0, n_layers, layers_at_once):
        layers = slice(layer, layer + layers_at_once)
        of_layers = targets if len(targets) == 1 else targets[layers]
        for place in range(0, n_places, places_at_once):
            places = slice(place, place + places_at_once)
            yield layers, places, of_layers[:, places]
