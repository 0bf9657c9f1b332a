"""A model with its gates, and the losses of both streams."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from benchmark.pretraining.self_ablation.gates import GLOBAL, LOCAL, Gates
from benchmark.pretraining.self_ablation.streams import (
    AblatedStream,
    CleanStream,
    Masks,
    ablated_stream,
    clean_stream,
)
from benchmark.pretraining.self_ablation.winners import Winners


@dataclass(frozen=True)
class Streams:
    """Both streams of a pass, and the masks of every layer; without gates the clean one alone."""

    clean: CleanStream
    ablated: AblatedStream | None
    masks: list[Masks]


class SelfAblatingModel(nn.Module):
    """A Hugging Face GPT-Neo model, its gates, and how many units they leave on."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        kind: str,
        winners: Winners,
        k_attention: int,
        k_neurons: int,
    ) -> None:
        """Fresh gates of a kind (none, local, global, both) beside a model."""
        super().__init__()
        self.model, self.gates, self.winners = model, Gates(model.config, kind), winners
        self.gated, self.ks = LOCAL[kind] or GLOBAL[kind], (k_attention, k_neurons)

    def forward(self, tokens: Int[Tensor, "batch position"]) -> Streams:
        """Both streams, from one pass each: masks read the clean one."""
        clean = clean_stream(self.model, tokens)
        if not self.gated:
            return Streams(clean, None, [])
        masks: list[Masks] = []
        for attention, neurons in self.gates.scores(clean):
            on_attention = self.winners.mask(attention, self.ks[0])
            masks.append((on_attention, self.winners.mask(neurons, self.ks[1])))
        return Streams(clean, ablated_stream(self.model, clean, masks), masks)

    def logits(
        self, final: Float[Tensor, "batch position width"]
    ) -> Float[Tensor, "batch position vocab"]:
        """The logits of a stream's final state."""
        return self.model.lm_head(final)


def reconstruction(
    clean: CleanStream, ablated: AblatedStream, real: Bool[Tensor, "batch position"]
) -> Float[Tensor, ""]:
    """How far the ablated states point elsewhere than the clean ones, summed over real positions.

    The mean, over dimensions and over the layers' outputs and the final normed state, of the
    squared difference of the states, each divided by its norm.
    """
    pairs = zip([*clean.states[1:], clean.final], [*ablated.states, ablated.final], strict=True)
    unit = nn.functional.normalize
    parts = [(unit(one, dim=-1) - unit(other, dim=-1)).square().mean(-1) for one, other in pairs]
    return (torch.stack(parts).mean(0) * real).sum()


def size_of_units(clean: CleanStream, real: Bool[Tensor, "batch position"]) -> Float[Tensor, ""]:
    """The mean |value| of attention's units and of neurons, added, summed over real positions."""
    per_layer = [sum(values.abs().mean(-1) for values in units) for units in clean.units]
    return (torch.stack(per_layer).mean(0) * real).sum()


def live_fractions(masks: list[Masks], real: Bool[Tensor, "batch position"]) -> tuple[float, float]:
    """The shares of attention's units and of neurons that are on (> 0.5) at some real position."""
    found = []
    for which in range(2):
        on = torch.stack([layer[which][real].amax(0) > 0.5 for layer in masks])
        found.append(on.float().mean().item())
    return found[0], found[1]
