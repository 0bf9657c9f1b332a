"""A data set of the Hugging Face hub as training text: one stream of tokens, cut at random places.

Every document is followed by the end token, and a step's rows are windows of the stream, which may
cross documents, as in the training of Ferrao et al. (2025).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from benchmark.errors import UserError
from benchmark.seeds import generator


@dataclass(frozen=True)
class HubText:
    """Which text; see conf/zoo/experiment/self_ablation_published.yaml.

    Attributes:
        data: a data set of the hub, or a directory or file of one.
        revision: its branch, tag or commit.
        part: the part that is trained on.
        held_out_part: the part that losses are measured on.
        field: of a row, with its text.
        n_documents: read from the first on; None is all.
        tokenizer: a repository or directory with a tokenizer.
        length: tokens of a window.
    """

    data: str
    revision: str | None
    part: str
    held_out_part: str
    field: str
    n_documents: int | None
    tokenizer: str
    length: int

    def read_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer.

        Raises:
            UserError: it cannot be loaded.
        """
        try:
            return AutoTokenizer.from_pretrained(self.tokenizer)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"hub_text.tokenizer={self.tokenizer} cannot be read: {reason}"
            ) from error

    def windows(self, tokenizer: PreTrainedTokenizerBase, part: str, seed: int) -> "Windows":
        """The windows of a part of the data.

        Raises:
            UserError: the data cannot be read, or is shorter than a window.
        """
        try:
            stream = np.concatenate([*self._encoded(tokenizer, part)])
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"hub_text.data={self.data} cannot be read: {reason}") from error
        if len(stream) <= self.length:
            raise UserError(
                f"hub_text.data={self.data} has {len(stream)} tokens in {part}, fewer than a "
                f"window of {self.length} and the next; give more, or a smaller hub_text.length"
            )
        return Windows(stream, self.length, seed)

    def _encoded(self, tokenizer: PreTrainedTokenizerBase, part: str) -> list[np.ndarray]:
        import datasets

        loaded = datasets.load_dataset(self.data, revision=self.revision, split=part)
        if self.n_documents is not None:
            loaded = loaded.select(range(min(self.n_documents, len(loaded))))
        # Smallest type that holds all tokens: the published text has 400 million.
        kind = np.uint16 if len(tokenizer) <= 2**16 else np.int32
        end = tokenizer.eos_token_id
        return [
            np.array([*ids, end], dtype=kind)
            for start in range(0, len(loaded), 1000)
            for ids in tokenizer(loaded[start : start + 1000][self.field])["input_ids"]
        ]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows at random places of one stream of tokens.

    Attributes:
        stream: token ids.
        length: tokens that are read in a window; the one after the last is its last target.
        seed: of the places.
    """

    stream: np.ndarray
    length: int
    seed: int

    def step(self, step: int, n_texts: int) -> list[Int[Tensor, "texts longest"]]:
        """The windows of a training step, which depend on its number alone, as one part."""
        draw = generator(self.seed, "windows of step", step)
        starts = torch.randint(len(self.stream) - self.length, (n_texts,), generator=draw)
        rows = [self.stream[start : start + self.length + 1] for start in starts.tolist()]
        return [torch.from_numpy(np.stack(rows).astype(np.int32))]

    def digest(self) -> str:
        """The SHA-256 of the stream, the same on every platform."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.stream.astype("<i4").tobytes()).hexdigest()
