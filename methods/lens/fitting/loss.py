"""How far a lens is from what it should say, in nats, a few layers at a time."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
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
    parts = [
        _divergence(log_probabilities(model, final), log_probabilities(model, target))
        for final, target in _in_parts(model, finals, targets)
    ]
    return torch.cat(parts)


def divergences_with_gradient(
    model: Transformer, finals: Finals, targets: Targets
) -> Float[Tensor, "layers places"]:
    """The same; the mean over places, summed over layers, sends its gradient back into `finals`.

    Layers are taken a few at a time, so that logits of all layers are never in memory together.
    """
    ends = finals.detach().requires_grad_()
    found, gradients = [], []
    for final, target in _in_parts(model, ends, targets):
        with torch.no_grad():
            wanted = log_probabilities(model, target)
        divergence = _divergence(log_probabilities(model, final), wanted)
        gradients.append(torch.autograd.grad(divergence.mean(-1).sum(), final)[0])
        found.append(divergence.detach())
    finals.backward(torch.cat(gradients))
    return torch.cat(found)


def _divergence(lens: Tensor, target: Tensor) -> Float[Tensor, "layers places"]:
    return F.kl_div(lens, target.expand_as(lens), log_target=True, reduction="none").sum(-1)


def _in_parts(
    model: Transformer, finals: Tensor, targets: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    at_once = max(1, NUMBERS_AT_ONCE // (finals.shape[1] * model.shape.d_vocab))
    for first in range(0, len(finals), at_once):
        part = slice(first, first + at_once)
        yield finals[part], targets if len(targets) == 1 else targets[part]
