"""Prompts for interchange intervention training: pairs of one template with other names.

The prompts of the IOI task give the frames; their three name slots are filled anew, so that the
two prompts of a pair have their names at the same positions and often share some.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from benchmark.config import configured
from benchmark.pretraining.known_circuit.causal_graph import Names
from benchmark.prompts.dataset import padded_rows
from benchmark.prompts.task import Split

# How often the other prompt has the same two names, and how often the actor is a new name.
SAME_NAMES, NEW_ACTOR = 0.5, 0.3


@dataclass(frozen=True)
class PromptRuns:
    """Prompts, and for each another prompt of its template; `slots` are the names' positions."""

    tokens: Int[Tensor, "batch pos"]
    other_tokens: Int[Tensor, "batch pos"]
    read_at: Int[Tensor, " batch"]
    slots: Int[Tensor, "batch 3"]
    names: Names
    other_names: Names


@dataclass(frozen=True)
class Skeletons:
    """Frames of prompts, by template.

    Attributes:
        tokens: padded frames.
        length: real tokens of each.
        slots: positions of the three names.
        partners: for each frame, the first and the last frame of its template.
        pool: ids of all names.
    """

    tokens: Int[Tensor, "frames pos"]
    length: Int[Tensor, " frames"]
    slots: Int[Tensor, "frames 3"]
    partners: Int[Tensor, "frames 2"]
    pool: Int[Tensor, " names"]

    def sample(self, n_prompts: int, draw: torch.Generator) -> PromptRuns:
        """Random pairs of prompts."""
        frame = torch.randint(len(self.tokens), (n_prompts,), generator=draw)
        first, last = self.partners[frame].T
        share = torch.rand(n_prompts, generator=draw)
        other_frame = first + (share * (last - first + 1)).long()
        four = self.pool[torch.rand(n_prompts, len(self.pool), generator=draw).argsort(1)[:, :4]]
        names = _names(four, draw)
        same = torch.rand(n_prompts, 1, generator=draw) < SAME_NAMES
        swap = torch.rand(n_prompts, 1, generator=draw) < 0.5
        pairs = torch.where(same, four, four[:, [2, 3, 0, 1]])
        other_names = _names(torch.where(swap, pairs[:, [1, 0, 2, 3]], pairs), draw)
        return PromptRuns(
            tokens=self._filled(frame, names),
            other_tokens=self._filled(other_frame, other_names),
            read_at=self.length[frame] - 1,
            slots=self.slots[frame],
            names=names,
            other_names=other_names,
        )

    def without(self, others: "Skeletons") -> "Skeletons":
        """The frames that are not among the others'."""
        seen = {tuple(frame) for frame in others._nameless()}
        new = torch.tensor([tuple(frame) not in seen for frame in self._nameless()])
        position = new.cumsum(0) - 1
        first, last = self.partners[new].T
        # A template keeps its frames together, from the first kept one to the last.
        before = torch.cat([torch.zeros(1, dtype=torch.long), new.cumsum(0)])
        partners = torch.stack([before[first], before[last + 1] - 1], 1)
        assert bool((partners[:, 0] <= position[new]).all())
        return Skeletons(self.tokens[new], self.length[new], self.slots[new], partners, self.pool)

    def _nameless(self) -> list[list[int]]:
        return self.tokens.scatter(1, self.slots, 0).tolist()

    def digest(self) -> str:
        """The SHA-256 of all frames and names."""
        hasher = hashlib.sha256()
        for tensor in (self.tokens, self.slots, self.pool):
            hasher.update(tensor.numpy().astype("<i4").tobytes())
        return hasher.hexdigest()

    def _filled(self, frame: Tensor, names: Names) -> Tensor:
        three = torch.stack([names.first, names.second, names.actor], 1)
        return self.tokens[frame].scatter(1, self.slots[frame], three)


def skeletons(tokenizer: PreTrainedTokenizerBase, split: Split, n_frames: int) -> Skeletons:
    """The frames of `n_frames` prompts of the IOI task."""
    dataset = configured("task", "ioi_third_name").dataset(tokenizer, split, n_frames)
    named = [*dataset["answer_tokens"], *dataset["wrong_tokens"]]
    pool = sorted({token for row in named for token in row})
    by_template = defaultdict(list)
    for template, tokens in zip(dataset["template"], dataset["clean_tokens"], strict=True):
        by_template[template.split()[0]].append(tokens)
    frames, partners = [], []
    for same in by_template.values():
        partners += [[len(frames), len(frames) + len(same) - 1]] * len(same)
        frames += same
    known = set(pool)
    slots = [[p for p, token in enumerate(frame) if token in known] for frame in frames]
    return Skeletons(
        tokens=padded_rows(frames, 0),
        length=torch.tensor([len(frame) for frame in frames]),
        slots=torch.tensor(slots),
        partners=torch.tensor(partners),
        pool=torch.tensor(pool),
    )


def _names(four: Int[Tensor, "batch 4"], draw: torch.Generator) -> Names:
    """The first two in order; one of them acts, or the third does."""
    chance = torch.rand(len(four), generator=draw)
    acting = (chance * 2 / (1 - NEW_ACTOR)).long().clamp(max=2)
    actor = four.gather(1, acting[:, None])[:, 0]
    return Names(four[:, 0], four[:, 1], actor)
