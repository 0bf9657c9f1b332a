"""The causal graph that the semi-synthetic model implements: indirect object identification.

After Wang et al. 2022, with the four variables that InterpBench trains for (Gupta et al. 2024,
arXiv 2407.14494): the *previous-token* variable carries the names of the first clause one word on;
the *duplicate-token* variable says whether the name that acts in the second clause is one of
those; *S-inhibition* passes that name on if it is; the *name mover* answers with the names of the
first clause that are not inhibited. InterpBench's duplicate-token variable reads the prompt alone,
and nothing reads its previous tokens; here they are read, so that each variable matters. Prompts
whose last name is new repeat nothing: nothing is inhibited, and both names are as good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NOTHING = -1
VARIABLES: tuple[str, ...] = ("previous", "duplicate", "s_inhibition", "name_mover")
# Who reads whom.
READS = {
    "previous": ("prompt",),
    "duplicate": ("prompt", "previous"),
    "s_inhibition": ("prompt", "duplicate"),
    "name_mover": ("prompt", "s_inhibition"),
}


@dataclass(frozen=True)
class Names:
    """The names of prompts: the first clause's two, and the one that acts in the second clause."""

    first: Int[Tensor, " batch"]
    second: Int[Tensor, " batch"]
    actor: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Values:
    """What every variable holds: a name, or `NOTHING`; `name_mover` holds the answers."""

    previous: Int[Tensor, "batch 2"]
    duplicate: Bool[Tensor, " batch"]
    s_inhibition: Int[Tensor, " batch"]
    name_mover: Int[Tensor, "batch 2"]


Replacements = Mapping[str, Sequence[tuple[Bool[Tensor, " batch"], Values]]]


def run(prompt: Names, replaced: Replacements | None = None) -> Values:
    """Every variable's value, in order, with some replaced as they are computed.

    Args:
        prompt: the names.
        replaced: for some variables, in which prompts they take which other run's value.
    """

    def now(variable: str, value: Tensor) -> Tensor:
        for where, other in (replaced or {}).get(variable, ()):
            where = where[:, None] if value.dim() > 1 else where
            value = torch.where(where, getattr(other, variable), value)
        return value

    names = torch.stack([prompt.first, prompt.second], 1)
    previous = now("previous", names)
    duplicate = now("duplicate", (previous == prompt.actor[:, None]).any(1))
    inhibited = now("s_inhibition", prompt.actor.where(duplicate, NOTHING))
    answers = now("name_mover", names.where(names != inhibited[:, None], NOTHING))
    return Values(previous, duplicate, inhibited, answers)


def target(values: Values, d_vocab: int) -> Float[Tensor, "batch vocab"]:
    """The probabilities that the causal graph gives to the next token: even over the answers."""
    right = values.name_mover != NOTHING
    table = torch.zeros(len(right), d_vocab)
    table.scatter_add_(1, values.name_mover.clamp(min=0), right.float())
    return table / right.sum(1, keepdim=True)
