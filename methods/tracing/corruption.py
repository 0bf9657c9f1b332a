"""What a subject's tokens embed as in a corrupted run: zero, a mean, noise, or another subject.

The cell's ablation says which. Draws depend on the ablation's seed, the number of the draw and the
prompt's id alone, and come from NumPy, whose numbers are the same on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import Ablation
from benchmark.ablations.fixed import Mean, Zero
from benchmark.ablations.noise import GaussianNoise
from benchmark.ablations.other_prompts import Resample
from benchmark.effects.tracing.subjects import (
    first_stream,
    subject_embeddings,
    token_embeddings,
    with_subjects,
)
from benchmark.errors import UserError
from benchmark.prompts.batch import Batch
from benchmark.seeds import derived_seed
from benchmark.transformer.transformer import Transformer


class NoiseSize(Enum):
    """What the standard deviation of noise is a multiple of.

    `subjects`: that of all numbers of all subjects' embeddings together (Meng et al. 2022).
    `first_stream`: for each dimension, that of the residual stream before layer 0 over all tokens
    (Li & Janson 2024).
    """

    subjects = "subjects"
    first_stream = "first_stream"


@dataclass(frozen=True)
class Corruption:
    """A corruption that is the same whatever is restored afterwards.

    Attributes:
        n_draws: how many times it is drawn for each prompt.
        embedding: what each token of a batch embeds as if it is a subject's, by draw.
    """

    n_draws: int
    embedding: Callable[[Batch, int], Float[Tensor, "#batch #pos d_model"]]

    def streams(self, model: Transformer, batch: Batch) -> Float[Tensor, "draws batch pos d_model"]:
        """The residual stream before layer 0, a row for each draw."""
        rows = [self.embedding(batch, draw) for draw in range(self.n_draws)]
        return with_subjects(model, batch, torch.stack(rows))


def fitted_corruption(
    model: Transformer, ablation: Ablation, facts: Batch, n_draws: int, size: NoiseSize
) -> Corruption:
    """The corruption that an ablation stands for, measured on training facts.

    Args:
        model: the model.
        ablation: zero, the mean, noise or resampling.
        facts: facts of the train split that the model knows.
        n_draws: draws of noise or donors.
        size: what the noise is a multiple of.
    """
    if isinstance(ablation, GaussianNoise):
        return Corruption(n_draws, _noise(model, ablation, facts, size))
    if isinstance(ablation, Resample):
        return Corruption(n_draws, _donors(model, ablation.seed, facts))
    mean = subject_embeddings(model, facts).mean(0)[None, None]
    constant = torch.zeros_like(mean) if isinstance(ablation, Zero) else mean
    return Corruption(1, lambda batch, draw: constant)


def cannot_corrupt(ablation: Ablation) -> str | None:
    """Why an ablation says nothing of a subject's tokens, unless it does."""
    pooled = isinstance(ablation, Mean) and not (ablation.positional or ablation.counterfactual)
    known = pooled or isinstance(ablation, Zero | GaussianNoise)
    known = known or (isinstance(ablation, Resample) and not ablation.positional)
    if known or (ablation.traits.trained and not ablation.traits.by_position):
        return None
    return "subjects are corrupted by optimal, gaussian, mean, zero or resample; give one of these"


def _noise(
    model: Transformer, ablation: GaussianNoise, facts: Batch, size: NoiseSize
) -> Callable[[Batch, int], Tensor]:
    deviation = ablation.scale * _deviation(model, facts, size)

    def embedding(batch: Batch, draw: int) -> Tensor:
        clean = token_embeddings(model, batch.clean)
        noise = np.zeros(clean.shape)
        for row, (name, (start, stop)) in enumerate(_named_subjects(batch)):
            random = np.random.default_rng(derived_seed(ablation.seed, "noise", draw, name))
            noise[row, start:stop] = random.standard_normal((stop - start, clean.shape[-1]))
        return clean + deviation * torch.from_numpy(noise).to(clean)

    return embedding


def _deviation(model: Transformer, facts: Batch, size: NoiseSize) -> Tensor:
    if size is NoiseSize.subjects:
        return subject_embeddings(model, facts).std()
    # Position 0 is the same token in every prompt.
    real = facts.real.clone()
    real[:, 0] = False
    return first_stream(model, facts.clean)[real].std(0)


def _donors(model: Transformer, seed: int, facts: Batch) -> Callable[[Batch, int], Tensor]:
    subjects = sorted(set(_subject_tokens(facts)))

    def embedding(batch: Batch, draw: int) -> Tensor:
        tokens = batch.clean.clone()
        own = _subject_tokens(batch)
        for row, (name, (start, stop)) in enumerate(_named_subjects(batch)):
            number = derived_seed(seed, "donor", draw, name)
            donor = _donor(own[row], subjects, number, name)
            tokens[row, start:stop] = torch.tensor(donor[-(stop - start) :])
        return token_embeddings(model, tokens)

    return embedding


def _donor(
    own: tuple[int, ...], subjects: Sequence[tuple[int, ...]], number: int, name: str
) -> tuple[int, ...]:
    """Another subject of as many tokens, or, if there is none, one of more, for its last tokens."""
    others = [tokens for tokens in subjects if tokens != own and len(tokens) >= len(own)]
    alike = [tokens for tokens in others if len(tokens) == len(own)] or others
    if not alike:
        raise UserError(
            f"no training fact has another subject of {len(own)} tokens or more for the prompt "
            f"{name}; raise n_train"
        )
    return alike[number % len(alike)]


def _named_subjects(batch: Batch) -> list[tuple[str, list[int]]]:
    assert batch.subject is not None
    return list(zip(batch.ids, batch.subject.tolist(), strict=True))


def _subject_tokens(batch: Batch) -> list[tuple[int, ...]]:
    assert batch.subject is not None
    rows = zip(batch.clean.tolist(), batch.subject.tolist(), strict=True)
    return [tuple(tokens[start:stop]) for tokens, (start, stop) in rows]
