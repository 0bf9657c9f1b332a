"""Runs of a Hugging Face GPT-2 in which nodes and connections carry the values of other runs.

A node is a head (its output before W_O) or an MLP; a connection is what a layer's heads, or the
logits, read of an earlier head. Gradients flow through the replaced values into the runs that
they come from, as interchange intervention training needs (Geiger et al. 2022, arXiv 2112.00826).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class Activations:
    """The values of every node in one run: heads and MLPs, by layer.

    Attributes:
        heads: outputs before W_O.
        mlps: outputs.
        projections: queries, keys and values of all heads, side by side.
    """

    heads: list[Float[Tensor, "batch pos heads d_head"]] = field(default_factory=list)
    mlps: list[Float[Tensor, "batch pos d_model"]] = field(default_factory=list)
    projections: list[Float[Tensor, "batch pos d_qkv"]] = field(default_factory=list)


@dataclass(frozen=True)
class Replacing:
    """Which prompts' nodes take the values of another run.

    Attributes:
        values: the other run.
        heads: for each prompt, layer and head.
        mlps: for each prompt and layer.
    """

    values: Activations
    heads: Bool[Tensor, "batch layers heads"]
    mlps: Bool[Tensor, "batch layers"]


@dataclass(frozen=True)
class Rewiring:
    """Connections between heads that carry the values of another run.

    Attributes:
        values: the other run.
        where: in which prompts, by the source's layer and head and the destination's layer; the
            logits are the layer after the last.
    """

    values: Activations
    where: dict[tuple[int, int, int], Bool[Tensor, " batch"]]


def next_token_logits(
    model: Any,  # noqa: ANN401 - Hugging Face's GPT2LMHeadModel
    tokens: Int[Tensor, "batch pos"],
    read_at: Int[Tensor, " batch"],
    replacing: Sequence[Replacing] = (),
    rewiring: Rewiring | None = None,
) -> tuple[Float[Tensor, "batch vocab"], Activations]:
    """The logits after position `read_at` of a run with replaced nodes, and that run's values."""
    recorded = Activations()
    with _replacing(model, replacing, recorded), _rewiring(model, rewiring, recorded):
        stream = model.transformer(tokens, use_cache=False).last_hidden_state
    return model.lm_head(stream[torch.arange(len(tokens)), read_at]), recorded


@contextmanager
def _replacing(model: Any, replacing: Sequence[Replacing], recorded: Activations) -> Iterator[None]:  # noqa: ANN401
    """Record what every node computes, after its replacement."""
    n_heads = model.config.n_head

    def on_heads(layer: int, joined: Tensor) -> Tensor:
        z = joined.unflatten(-1, (n_heads, -1))
        for other in replacing:
            if bool(other.heads[:, layer].any()):
                z = torch.where(other.heads[:, None, layer, :, None], other.values.heads[layer], z)
        recorded.heads.append(z)
        return z.flatten(-2)

    def on_mlp(layer: int, output: Tensor) -> Tensor:
        for other in replacing:
            if bool(other.mlps[:, layer].any()):
                here = other.mlps[:, layer, None, None]
                output = torch.where(here, other.values.mlps[layer], output)
        recorded.mlps.append(output)
        return output

    with ExitStack() as hooks:
        for layer, block in enumerate(model.transformer.h):
            for handle in (
                block.attn.c_attn.register_forward_hook(
                    lambda _, __, output: recorded.projections.append(output)
                ),
                block.attn.c_proj.register_forward_pre_hook(
                    lambda _, inputs, layer=layer: (on_heads(layer, inputs[0]),)
                ),
                block.mlp.register_forward_hook(
                    lambda _, __, output, layer=layer: on_mlp(layer, output)
                ),
            ):
                hooks.callback(handle.remove)
        yield


@contextmanager
def _rewiring(model: Any, rewiring: Rewiring | None, recorded: Activations) -> Iterator[None]:  # noqa: ANN401
    """Change what the rewired destinations read, and nothing of the residual stream itself."""
    if rewiring is None:
        yield
        return
    blocks = model.transformer.h
    norms = [*(block.ln_1 for block in blocks), model.transformer.ln_f]

    def read(destination: int, stream: Tensor) -> Tensor:
        for (layer, head, reader), prompts in rewiring.where.items():
            if reader == destination:
                change = (
                    rewiring.values.heads[layer][:, :, head] - recorded.heads[layer][:, :, head]
                )
                d_head = change.shape[-1]
                W_O = blocks[layer].attn.c_proj.weight[head * d_head :][:d_head]
                stream = stream + prompts[:, None, None] * (change @ W_O)
        return stream

    with ExitStack() as hooks:
        for destination, norm in enumerate(norms):
            handle = norm.register_forward_pre_hook(
                lambda _, inputs, destination=destination: (read(destination, inputs[0]),)
            )
            hooks.callback(handle.remove)
        yield
