"""The states of a text: at the places that lenses are fitted and judged at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.states import States, states_at
from benchmark.prompts.batch import Batch, concatenate
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Given:
    """What a lens is fitted to.

    Attributes:
        model: the model.
        text: prompts, of which the clean ones are read.
        length: tokens of each prompt that are read, or None for all up to its read position.
        seed: of what is random in the fit.
        checkpoint: a file for the state of training, or None to keep none.
    """

    model: Transformer
    text: Sequence[Batch]
    length: int | None
    seed: int
    checkpoint: Path | None

    @cached_property
    def states(self) -> States:
        """The states at one place of every prompt."""
        return states_of(self.model, self.text, self.length)

    def first(self, n_prompts: int | None) -> Batch:
        """The first prompts, or all."""
        return concatenate(self.text).split(n_prompts or sum(map(len, self.text)))[0]


def states_of(model: Transformer, text: Sequence[Batch], length: int | None = None) -> States:
    """The states of every prompt after `length` tokens, or where it is read.

    Kept are (2 layers + 1) x prompts x d_model numbers, and no logits.

    Raises:
        UserError: a prompt has fewer tokens, or does not fit the model.
    """
    parts = [
        states_at(model, part.clean, places_of(part, length))
        for batch in text
        for part in batch.in_parts(rows_that_fit(model, 1, batch.n_positions, with_gradient=False))
    ]
    return States(
        torch.cat([part.before for part in parts], 1),
        torch.cat([part.attention for part in parts], 1),
    )


def places_of(batch: Batch, length: int | None) -> Bool[Tensor, "batch pos"]:
    """One place of every prompt: its read position, or that of its token number `length`.

    Raises:
        UserError: a prompt has fewer tokens.
    """
    positions: Int[Tensor, " batch"] = batch.read_at
    if length is not None:
        if not 1 <= length <= int(batch.lengths.min()):
            raise UserError(
                f"states after {length} tokens were asked for; the shortest prompt has "
                f"{int(batch.lengths.min())}: give a smaller length, or longer rows (task.length)"
            )
        positions = torch.full_like(positions, length - 1)
    return torch.arange(batch.n_positions, device=positions.device) == positions[:, None]
