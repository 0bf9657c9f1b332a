"""The states of a text, at the places that lenses are fitted and judged at.

They are kept if they fit into the memory of a pass; those of a longer text are computed anew
whenever they are asked for, and statistics of it are sums over its parts.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit, states_that_fit
from benchmark.forward.states import States, states_at
from benchmark.prompts.batch import Batch, concatenate
from benchmark.transformer.transformer import Transformer

# Places whose states a digest looks at, beside all tokens.
DIGESTED = 8


@dataclass(frozen=True, eq=False)
class TextStates:
    """The states at one place of every prompt of a text.

    Attributes:
        model: the model.
        text: prompts, of which the clean ones are read.
        length: tokens of each prompt that are read, or None for all up to its read position.
    """

    model: Transformer
    text: Sequence[Batch]
    length: int | None = None

    @cached_property
    def n_places(self) -> int:
        """One for every prompt."""
        return sum(map(len, self.text))

    @cached_property
    def _kept(self) -> States | None:
        """All states, if they fit into memory."""
        fit = self.n_places <= states_that_fit(self.model)
        return states_of(self.model, self.text, self.length) if fit else None

    @cached_property
    def _prompts(self) -> Batch:
        return concatenate(self.text)

    def parts(self) -> Iterator[States]:
        """All of them, some prompts at a time.

        Raises:
            UserError: a prompt has fewer tokens than are read, or does not fit the model.
        """
        if self._kept is not None:
            yield self._kept
        else:
            yield from parts_of(self.model, self.text, self.length)

    def select(self, rows: Int[Tensor, " chosen"]) -> States:
        """Those of some prompts.

        Raises:
            UserError: a prompt has fewer tokens than are read, or does not fit the model.
        """
        if self._kept is not None:
            return self._kept.select(rows.to(self._kept.before.device))
        return states_of(self.model, [self._prompts.select(rows)], self.length)

    def mean_attention(self) -> Float[Tensor, "layers d_model"]:
        """What each layer's attention adds on average, from sums over the parts."""
        total = sum(part.attention.double().sum(1) for part in self.parts())
        return (total / self.n_places).to(self.model.stream_dtype)

    @cached_property
    def beginning(self) -> States:
        """Those of the first prompts, by which a digest tells models apart."""
        return self.select(torch.arange(min(DIGESTED, self.n_places)))

    def digest(self) -> str:
        """The SHA-256 of all tokens, the places, and the first states, which differ by model."""
        hasher = hashlib.sha256(str(self.length).encode())
        for batch in self.text:
            tokens = batch.clean.masked_fill(~batch.real, -1)
            for numbers in (tokens, batch.read_at):
                hasher.update(numbers.cpu().numpy().tobytes())
        hasher.update(self.beginning.before.float().cpu().numpy().tobytes())
        return hasher.hexdigest()


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
    def states(self) -> TextStates:
        """The states at one place of every prompt."""
        return TextStates(self.model, self.text, self.length)

    def first(self, n_prompts: int | None) -> Batch:
        """The first prompts, or all."""
        return concatenate(self.text).split(n_prompts or self.states.n_places)[0]


def states_of(model: Transformer, text: Sequence[Batch], length: int | None = None) -> States:
    """The states of every prompt after `length` tokens, or where it is read, all in memory.

    Kept are (2 layers + 1) x prompts x d_model numbers, and no logits.

    Raises:
        UserError: a prompt has fewer tokens, or does not fit the model.
    """
    parts = list(parts_of(model, text, length))
    return States(
        torch.cat([part.before for part in parts], 1),
        torch.cat([part.attention for part in parts], 1),
    )


def parts_of(
    model: Transformer, text: Sequence[Batch], length: int | None = None
) -> Iterator[States]:
    """The same, of some prompts at a time.

    Raises:
        UserError: a prompt has fewer tokens, or does not fit the model.
    """
    for batch in text:
        at_once = rows_that_fit(model, 1, batch.n_positions, with_gradient=False)
        for part in batch.in_parts(at_once):
            yield states_at(model, part.clean, places_of(part, length))


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
