"""The contract of a task, and the base of tasks on text, whatever their pairs come from.

Which split a text belongs to is decided by a digest of the text itself, and a pair belongs to a
split only if both of its texts do. So train, validation and test never share a prompt, whatever
the seeds, sizes and tokenizers.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from transformers import PreTrainedTokenizerBase

from benchmark.config import described
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.batch import Batch
from benchmark.prompts.dataset import batch_of, cached, row
from benchmark.prompts.drawn import drawn
from benchmark.prompts.encoding import PromptEncoder, PromptPair

if TYPE_CHECKING:
    import datasets


class Split(Enum):
    """Which part of a task's prompts: discovery on train, choice on validation, report on test."""

    train = "train"
    validation = "validation"
    test = "test"


@runtime_checkable
class Task(Protocol):
    """Clean and corrupted prompts with answers, in three splits that share none."""

    @property
    def name(self) -> str:
        """As in tables and records."""
        ...

    @property
    def family(self) -> str:
        """What its variants have in common; reference circuits belong to a family."""
        ...

    @property
    def version(self) -> int:
        """To be raised whenever the same settings give other prompts."""
        ...

    @property
    def metric(self) -> str:
        """The option of conf/metric that the task's literature reports."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """All that decides the prompts but the tokenizer, as plain values."""
        ...

    def dataset(
        self,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        n_prompts: int,
        seed: int = 0,
        *,
        or_fewer: bool = False,
    ) -> "datasets.Dataset":
        """The first `n_prompts` prompts that the seed draws from a split, none twice.

        Raises:
            UserError: there are not as many (unless `or_fewer`), or the tokenizer does not fit
                the task's words.
        """
        ...

    def batch(
        self, tokenizer: PreTrainedTokenizerBase, split: Split, n_prompts: int, seed: int = 0
    ) -> Batch:
        """The same prompts as token ids."""
        ...


@dataclass(frozen=True)
class PromptTask(ABC):
    """A task on text; a subclass gives `pairs`, a version, a metric and its settings.

    Attributes:
        name: as in tables and records.
        prepend_bos: begin every prompt with the tokenizer's BOS token.
        ends: whether `pairs` gives each pair once and ends; rows of the user's own that are left
            out are then told of.
    """

    name: str
    prepend_bos: bool
    version: ClassVar[int]
    ends: ClassVar[bool] = False

    @property
    def family(self) -> str:
        """The name of the file that defines the task."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """Pairs of a split, in the order of the seed, perhaps without end; repeats do no harm."""

    def identity(self, pair: PromptPair) -> Hashable:
        """What two pairs share if only the first of them is taken."""
        return pair.clean

    def fingerprint(self) -> dict[str, Any]:
        """All that decides the prompts but the tokenizer."""
        task, settings = described(self)
        return {"task": task, "settings": settings, "version": self.version}

    def dataset(
        self,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        n_prompts: int,
        seed: int = 0,
        *,
        or_fewer: bool = False,
    ) -> "datasets.Dataset":
        """See `Task.dataset`; kept in the cache of `datasets`.

        Of a task whose pairs end, `info.description` says what was left out.
        """
        if n_prompts < 1:
            raise UserError(f"{n_prompts} prompts were asked of {self.name}; ask for 1 or more")
        return cached(
            lambda: self._rows(tokenizer, split, n_prompts, seed, or_fewer),
            **self.fingerprint(),
            tokenizer=_tokenizer_digest(tokenizer),
            split=split.value,
            n_prompts=n_prompts,
            or_fewer=or_fewer,
            seed=seed,
        )

    def batch(
        self, tokenizer: PreTrainedTokenizerBase, split: Split, n_prompts: int, seed: int = 0
    ) -> Batch:
        """See `Task.batch`."""
        return batch_of(self.dataset(tokenizer, split, n_prompts, seed))

    def _rows(
        self,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        n_prompts: int,
        seed: int,
        or_fewer: bool,
    ) -> tuple[list[dict[str, Any]], str]:
        """The rows, and what was left out of a task whose pairs end."""
        encoder = PromptEncoder(tokenizer, self.prepend_bos)
        found = drawn(self.pairs(split, seed), encoder, n_prompts, self.identity, ends=self.ends)
        if len(found.pairs) == n_prompts or (found.pairs and or_fewer):
            rows = [row(pair, encoded, self.name) for pair, encoded in found.pairs]
            return rows, found.left_out(split.value) if self.ends else ""
        worst = "; ".join(fault for fault, _ in found.faults.most_common(8))
        raise UserError(
            f"task {self.name} has {len(found.pairs)} {split.value} prompts for the tokenizer "
            f"{tokenizer.name_or_path!r}, not the {n_prompts} that were asked for"
            + (f". What does not fit: {worst}" if found.faults else "")
            + (f". {OF_SPLITS}" if self.ends else "")
        )


OF_SPLITS = (
    "A text belongs to train, validation or test by itself (60, 20 and 20 %), a pair only where "
    "both of its prompts do: give more rows, or ask for fewer prompts"
)


def split_of_text(text: str) -> Split:
    """The split that a text belongs to: 60 % train, 20 % validation, 20 % test."""
    tenth = int(digest(text)[:8], 16) % 10
    return Split.train if tenth < 6 else Split.validation if tenth < 8 else Split.test


def _tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """What decides how text is tokenised: the rules of a fast tokenizer, else its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules: Any = tokenizer.get_vocab()
    if backend is not None:
        rules = json.loads(backend.to_str())
        # How a batch was padded last is no rule.
        rules |= {"padding": None, "truncation": None}
    return digest([rules, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id])
