"""What a reader of numbers should know of the prompts behind them, each in a sentence."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase

from benchmark.prompts.batch import Batch

if TYPE_CHECKING:
    import datasets


def counted_part(answer: str, whole: list[int], tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What counts of an answer of several tokens, which is its first; None if it has only one."""
    if len(whole) == 1:
        return None
    counted = str(tokenizer.decode(whole[:1]))
    # Decoders of word pieces leave out the space before a word.
    return counted if counted.startswith(" ") or not answer.startswith(" ") else f" {counted}"


def longer_answers(
    rows: "datasets.Dataset", split: str, tokenizer: PreTrainedTokenizerBase, ending: str = ""
) -> Iterator[str]:
    """That some right answers have more tokens than the one that counts.

    `ending` says where all of them count, or why they do nowhere.
    """
    found = [
        (answer, part)
        for answers, wholes in zip(rows["answers"], rows["whole_answer_tokens"], strict=True)
        for answer, whole in zip(answers, wholes, strict=True)
        if (part := counted_part(answer, whole, tokenizer)) is not None
    ]
    if found:
        answer, part = found[0]
        n_answers = sum(map(len, rows["answers"]))
        yield (
            f"{len(found)} of {n_answers} right {split} answers have several tokens, of which only "
            f"the first counts: {answer!r} counts as {part!r}{ending}"
        )


def kept_content(batch: Batch, split: str, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """That the first position, which is never ablated, is no BOS token, or differs between pairs.

    It is for ablations with `keep_first`, which is meant for a token that says nothing.
    """
    first, other = batch.clean[:, 0].cpu(), batch.corrupted[:, 0].cpu()
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    starts = torch.tensor([token for token in ids if token is not None], dtype=first.dtype)
    content = ~torch.isin(first, starts)
    for kind, found in (
        ("have another first token than their corrupted prompt", first != other),
        ("begin with no BOS token", content & (first == other)),
    ):
        n = int(found.sum())
        if n:
            token = tokenizer.decode(first[found][:1])
            yield (
                f"{n} of {len(batch)} {split} prompts {kind} ({token!r}), and keep_first=true "
                "never ablates it: set task.prepend_bos=true or ablation.keep_first=false"
            )
