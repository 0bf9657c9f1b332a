"""The log-probability of whole answers, of whose tokens other metrics count the first alone.

Each prompt is followed by its answer (teacher forcing), and an answer a_1 .. a_n has

    log p(a | prompt) = sum over t of log p(a_t | prompt, a_1 .. a_(t-1)).

The corrupted prompt is followed by the same answer, so that the empty circuit under counterfactual
ablation gives what the model does on the corrupted prompt. The answer's positions are ablated as
those of the prompt; where an ablation draws at random, its draws are those of the longer prompt.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.prompts.batch import NO_ANSWER, Batch

# As curves call it; `cross_entropy` is the same of first tokens.
WHOLE_ANSWER = "whole_answer_cross_entropy"
Reads = Int[Tensor, "batch tokens"]
# From prompts and several read positions of each to logits there.
LogitsAt = Callable[[Batch, Reads], Float[Tensor, "*masks batch tokens vocab"]]


def whole_answer_cross_entropy(batch: Batch, logits_at: LogitsAt) -> Float[Tensor, "*masks batch"]:
    """Minus the log of the probability of the set of right answers, all tokens counted, in nats.

    Of answers of one token it is `CrossEntropy`.

    Args:
        batch: prompts that have `whole_answers`.
        logits_at: what a model, or circuits of it, say to other prompts of as many rows.
    """
    assert batch.whole_answers is not None
    found = []
    for answer in batch.whole_answers.unbind(1):
        logits = logits_at(*followed(batch, answer))
        found.append(_log_probability(logits, answer.to(logits.device)))
    return -torch.stack(found, -1).logsumexp(-1)


def n_positions_with_answers(batch: Batch) -> int:
    """Positions of prompts that are followed by their answers."""
    n_more = 0 if batch.whole_answers is None else batch.whole_answers.shape[2] - 1
    return batch.n_positions + n_more


def followed(batch: Batch, answer: Int[Tensor, "batch tokens"]) -> tuple[Batch, Reads]:
    """Both prompts of each pair followed by an answer, and where its tokens are predicted.

    The answer's last token, which nothing is read after, is left out.
    """
    n_before = torch.arange(answer.shape[1], device=answer.device)
    reads = batch.read_at[:, None] + n_before
    longer = batch.padded(n_positions_with_answers(batch))
    known, places = answer[:, :-1].clamp(min=0), reads[:, 1:]
    n_tokens = (answer != NO_ANSWER).sum(-1).clamp(min=1)
    longer = replace(
        longer,
        clean=longer.clean.scatter(1, places, known),
        corrupted=longer.corrupted.scatter(1, places, known),
        lengths=batch.read_at + n_tokens,
        subject=None,
        whole_answers=None,
    )
    return longer, reads


def _log_probability(
    logits: Float[Tensor, "*masks batch tokens vocab"], answer: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "*masks batch"]:
    """Summed over tokens; minus infinity for filling in place of an answer."""
    total = torch.zeros_like(logits[..., 0, 0])
    # Token by token, since the softmax of all of them would take as much memory again.
    for number, token in enumerate(answer.unbind(-1)):
        scores = logits[..., number, :].log_softmax(-1)
        index = token.clamp(min=0).expand(scores.shape[:-1])[..., None]
        total += scores.gather(-1, index)[..., 0] * (token != NO_ANSWER)
    return total.masked_fill(answer[:, 0] == NO_ANSWER, -torch.inf)
