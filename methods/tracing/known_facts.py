"""Which prompts can be traced: those with a subject of which the model knows the answer."""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.passes import clean_logits
from benchmark.metric import Accuracy
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


def known_facts(model: Transformer, batch: Batch) -> Batch:
    """The prompts whose most likely next token is a right answer.

    Raises:
        UserError: a prompt has no subject, or nothing else, or the model knows none of them.
    """
    check_subjects(batch)
    logits = _logits(model, batch)
    (rows,) = (Accuracy()(logits, batch, logits) > 0).nonzero(as_tuple=True)
    if not len(rows):
        raise UserError(
            f"the model knows none of {len(batch)} facts, so that nothing can be traced; give "
            "another model or task"
        )
    return batch.select(rows)


def check_subjects(batch: Batch) -> None:
    """Check that every prompt names a subject and says something of it.

    Raises:
        UserError: one does not; the message names it.
    """
    if batch.subject is None:
        raise UserError(
            "causal tracing needs prompts with a subject; give task=facts, or own data with a "
            "field 'subject'"
        )
    for name, (start, stop), length in zip(
        batch.ids, batch.subject.tolist(), batch.lengths.tolist(), strict=True
    ):
        if start == stop:
            raise UserError(f"the prompt {name} has no subject; give one, or leave it out")
        if start <= 1 and stop == length:
            raise UserError(f"the subject of the prompt {name} is the whole prompt")


def _logits(model: Transformer, batch: Batch) -> Float[Tensor, "batch vocab"]:
    at_once = rows_that_fit(model, 1, batch.n_positions, with_gradient=False)
    with torch.no_grad():
        parts = [clean_logits(model, x.clean, x.read_at) for x in batch.split(at_once)]
    return torch.cat(parts)
