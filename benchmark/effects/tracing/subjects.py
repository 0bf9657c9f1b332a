"""The embeddings of subjects' tokens: what they are, and prompts that have others instead.

Only a subject's own tokens are ever changed, and at the token embedding, so that learned positions
stay as they are.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.forward.layers import embedded
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


def token_embeddings(
    model: Transformer, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_model"]:
    """The embedding of every token, its scale included, without learned positions."""
    stream, learned = first_stream(model, tokens), model.weights.learned_positions
    return stream if learned is None else stream - learned[: tokens.shape[1]].to(stream.dtype)


def first_stream(
    model: Transformer, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream before layer 0, learned positions included."""
    return embedded(model, tokens)


def in_subject(batch: Batch) -> Bool[Tensor, "batch pos"]:
    """Which positions are the subject's."""
    assert batch.subject is not None
    start, stop = batch.subject[:, :1], batch.subject[:, 1:]
    positions = torch.arange(batch.n_positions, device=batch.clean.device)
    return (positions >= start) & (positions < stop)


def with_subjects(
    model: Transformer, batch: Batch, embeddings: Float[Tensor, "rows #batch #pos d_model"]
) -> Float[Tensor, "rows batch pos d_model"]:
    """The residual stream before layer 0 of prompts whose subjects' tokens embed as these."""
    stream = first_stream(model, batch.clean)
    changed = stream + (embeddings - token_embeddings(model, batch.clean))
    return torch.where(in_subject(batch)[..., None], changed, stream)


def subject_embeddings(model: Transformer, facts: Batch) -> Float[Tensor, "tokens d_model"]:
    """The embeddings of all tokens of all subjects, one below the other."""
    return token_embeddings(model, facts.clean)[in_subject(facts)]


def first_positions(batch: Batch) -> Int[Tensor, " batch"]:
    """Where each prompt's subject begins."""
    assert batch.subject is not None
    return batch.subject[:, 0]
