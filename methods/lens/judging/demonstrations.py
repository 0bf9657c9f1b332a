"""Where the labels of demonstrations stand, in prompts with right ones and with wrong ones.

Clean and corrupted prompts differ in the labels of their demonstrations alone; so they say
themselves where a label comes next, and which label is right there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.prompts.batch import NO_ANSWER, Batch

GIVE = "give task=demonstrations, or prompts like its own"


@dataclass(frozen=True, eq=False)
class Slots:
    """The places that a label comes behind: one for each demonstration, and the read position.

    Attributes:
        places: which positions they are.
        right: the number of the right label at each, the same for both prompts.
    """

    places: Bool[Tensor, "batch pos"]
    right: Int[Tensor, "batch slots"]

    @classmethod
    def of(cls, batch: Batch, labels: Int[Tensor, " labels"]) -> "Slots":
        """The slots of a batch.

        Raises:
            UserError: prompts do not differ in labels alone, or in different numbers of them.
        """
        at_label = (batch.clean != batch.corrupted) & batch.real
        shown = batch.clean[at_label], batch.corrupted[at_label]
        counts = at_label.sum(1)
        if not int(counts.min()) or not all(torch.isin(one, labels).all() for one in shown):
            raise UserError(
                "clean and corrupted prompts differ in more, or less, than labels of "
                f"demonstrations; {GIVE}"
            )
        if int(counts.min()) != int(counts.max()):
            raise UserError(f"prompts have {counts.unique().tolist()} demonstrations; {GIVE}")
        places = torch.cat([at_label[:, 1:], torch.zeros_like(at_label[:, :1])], 1)
        places[torch.arange(len(batch)), batch.read_at] = True
        said = torch.cat([shown[0].view(len(batch), -1), batch.answers[:, :1]], 1)
        return cls(places, torch.searchsorted(labels, said))


def labels_of(batches: Sequence[Batch]) -> Int[Tensor, " labels"]:
    """The tokens of all labels, in order."""
    tokens = [x.flatten() for batch in batches for x in (batch.answers, batch.wrong)]
    labels = torch.cat(tokens).unique()
    return labels[labels != NO_ANSWER]
