"""A minibatch of clean and corrupted prompts with their answers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.errors import UserError

NO_ANSWER = -1


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts aligned token by token with their corrupted counterparts, padded on the right.

    Attributes:
        clean: token ids; positions from a prompt's length on are padding, any id of the vocabulary.
        corrupted: token ids of the paired counterfactual prompts, of the same lengths.
        lengths: real tokens of each prompt.
        read_at: the position whose next-token prediction counts, usually `lengths - 1`.
        answers: token ids of the right answers; rows with fewer are filled with -1.
        wrong: token ids of the wrong answers, filled likewise.
        ids: a stable name of each prompt, no two alike.
        subject: the half-open range of positions (start, stop) of the words that the clean prompt
            is about, (0, 0) where it names none; None if no prompt does.
        whole_answers: all tokens of each of `answers`, filled with -1; None if each has only one.

    Raises:
        UserError: sizes that disagree, a read position or a subject outside its prompt, a
            repeated answer, or whole answers that begin otherwise than the answers.
    """

    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch corrupted_pos"]
    lengths: Int[Tensor, " batch"]
    read_at: Int[Tensor, " batch"]
    answers: Int[Tensor, "batch n_answers"]
    wrong: Int[Tensor, "batch n_wrong"]
    ids: tuple[str, ...]
    subject: Int[Tensor, "batch 2"] | None = None
    whole_answers: Int[Tensor, "batch n_answers n_tokens"] | None = None

    def __post_init__(self) -> None:
        """Check that all fields speak of the same prompts."""
        sizes = {name: len(tensor) for name, tensor in self._tensors().items()}
        sizes["ids"] = len(self.ids)
        if len(set(sizes.values())) != 1 or not self.ids:
            raise UserError(f"a batch needs one or more prompts, all fields as many: {sizes}")
        if len(set(self.ids)) != len(self.ids):
            raise UserError("two prompts of a batch have the same id")
        if self.clean.shape != self.corrupted.shape:
            raise UserError(
                "clean and corrupted prompts must be aligned token by token; shapes are "
                f"{tuple(self.clean.shape)} and {tuple(self.corrupted.shape)}"
            )
        # On a GPU, to look at numbers is to wait; they were looked at before the batch moved there.
        if self.clean.device.type == "cpu":
            self._check_numbers()

    def _check_numbers(self) -> None:
        if bool((self.lengths < 1).any()) or bool((self.lengths > self.clean.shape[1]).any()):
            raise UserError(f"prompt lengths must lie in 1..{self.clean.shape[1]}")
        if bool((self.read_at < 0).any()) or bool((self.read_at >= self.lengths).any()):
            raise UserError("read_at must be a real position of its prompt: 0 <= read_at < length")
        if self.subject is not None:
            start, stop = self.subject.unbind(1)
            if bool(((start < 0) | (start > stop) | (stop > self.lengths)).any()):
                raise UserError("a subject must lie in its prompt: 0 <= start <= stop <= length")
        wholes = self.whole_answers
        if wholes is not None and not torch.equal(wholes[..., 0], self.answers):
            raise UserError("whole answers must begin with the tokens that are the answers")
        for name in ("answers", "wrong"):
            ordered = getattr(self, name).sort(-1).values
            if bool(((ordered.diff() == 0) & (ordered[:, 1:] != NO_ANSWER)).any()):
                raise UserError(f"a prompt has the same token twice among its {name}")

    def __len__(self) -> int:
        """Prompts in the batch."""
        return len(self.ids)

    @property
    def n_positions(self) -> int:
        """Positions, padding included."""
        return self.clean.shape[1]

    @property
    def real(self) -> Bool[Tensor, "batch pos"]:
        """Which positions hold a real token."""
        return torch.arange(self.n_positions, device=self.lengths.device) < self.lengths[:, None]

    def select(self, rows: Int[Tensor, " chosen"]) -> "Batch":
        """The chosen prompts, in that order, with as many positions as before."""
        tensors = {name: tensor[rows] for name, tensor in self._tensors().items()}
        return Batch(**tensors, ids=tuple(self.ids[row] for row in rows.tolist()))

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        moved = {name: tensor.to(device) for name, tensor in self._tensors().items()}
        return Batch(**moved, ids=self.ids)

    def split(self, size: int) -> list["Batch"]:
        """Consecutive batches of `size` prompts, the last one perhaps smaller."""
        rows = torch.arange(len(self), device=self.clean.device)
        return [self.select(part) for part in rows.split(size)]

    def in_parts(self, size: int) -> list["Batch"]:
        """Trimmed batches of `size` prompts; none of a single one, if there are more (donors)."""
        parts = self.split(size)
        if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [concatenate(parts[-2:])]
        return [part.trimmed() for part in parts]

    def trimmed(self) -> "Batch":
        """The same prompts without the last positions that are padding in all of them."""
        n_positions = int(self.lengths.max())
        cut = {name: getattr(self, name)[:, :n_positions] for name in ("clean", "corrupted")}
        return Batch(**{**self._tensors(), **cut}, ids=self.ids)

    def padded(self, n_positions: int, token: int = 0) -> "Batch":
        """The same prompts with `n_positions` positions, filled on the right with `token`."""
        extra = n_positions - self.n_positions
        pads = {
            name: torch.nn.functional.pad(getattr(self, name), (0, extra), value=token)
            for name in ("clean", "corrupted")
        }
        return Batch(**{**self._tensors(), **pads}, ids=self.ids)

    def _tensors(self) -> dict[str, Tensor]:
        """The fields that are tensors, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def concatenate(batches: Sequence[Batch]) -> Batch:
    """One batch of all prompts, padded to the longest; answers are filled with -1.

    Where only some batches have subjects, the prompts of the others get (0, 0); where only some
    have whole answers, those of the others are of one token.

    Raises:
        UserError: there are no batches.
    """
    if not batches:
        raise UserError("no prompts were given")
    n_positions = max(batch.n_positions for batch in batches)
    padded = [batch.padded(n_positions) for batch in batches]
    if any(batch.subject is not None for batch in padded):
        padded = [_with_subject(batch) for batch in padded]
    if any(batch.whole_answers is not None for batch in padded):
        padded = [_with_whole_answers(batch) for batch in padded]
    parts = [batch._tensors() for batch in padded]
    tensors = {name: _joined([part[name] for part in parts]) for name in parts[0]}
    return Batch(**tensors, ids=tuple(name for batch in batches for name in batch.ids))


def _with_subject(batch: Batch) -> Batch:
    if batch.subject is not None:
        return batch
    return replace(batch, subject=batch.clean.new_zeros(len(batch), 2))


def _with_whole_answers(batch: Batch) -> Batch:
    if batch.whole_answers is not None:
        return batch
    return replace(batch, whole_answers=batch.answers[..., None])


def _joined(parts: list[Tensor]) -> Tensor:
    """Rows one below the other, of answers filled to the same widths."""
    widths = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    filled = [part.new_full((len(part), *widths), NO_ANSWER) for part in parts]
    for whole, part in zip(filled, parts, strict=True):
        whole[tuple(slice(size) for size in part.shape)] = part
    return torch.cat(filled)
