"""Where the heads of the causal graph should look: a training signal for the first steps.

From random weights, three or four heads that must work together get no useful gradient from the
answer alone. A head that is told once where to look (a cross-entropy on one row of its attention
pattern) then keeps looking there for its own sake, since the answer needs it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.pretraining.known_circuit.causal_graph import Values
from benchmark.pretraining.known_circuit.circuit import Circuit
from benchmark.pretraining.known_circuit.interchange import Activations
from benchmark.pretraining.known_circuit.prompts import PromptRuns

# Position 0, which holds the BOS token, is where a head looks that has nothing to look at.
REST = 0


def attention_loss(
    circuit: Circuit, seen: Activations, runs: PromptRuns, values: Values
) -> Float[Tensor, ""]:
    """The mean cross-entropy of the attention of the circuit's heads.

    Args:
        circuit: which head computes which variable.
        seen: the run.
        runs: its prompts.
        values: what the variables hold in that run, replaced ones included.
    """
    losses = []
    for variable, queries, wanted in _hints(runs, values):
        layer, head = circuit.heads[variable]
        pattern = log_attention(seen.projections[layer], circuit.n_heads, head, queries)
        losses.append(-(pattern * wanted).sum(1).mean())
    return torch.stack(losses).mean()


def _hints(
    runs: PromptRuns, values: Values
) -> list[tuple[str, Int[Tensor, " batch"], Float[Tensor, "batch pos"]]]:
    """For each variable: positions that look, and how much they should look where."""
    n_pos = runs.tokens.shape[1]
    first, second, actor = runs.slots.T

    def at(position: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(position, n_pos).float()

    rest = torch.full_like(first, REST)
    seen_before = values.previous == runs.names.actor[:, None]
    repeated = torch.where(seen_before, runs.slots[:, :2] + 1, REST).amax(1)
    names = torch.stack([runs.names.first, runs.names.second], 1)
    answers = (names != values.s_inhibition[:, None]).float()
    answers = answers / answers.sum(1, keepdim=True)
    movers = at(first) * answers[:, :1] + at(second) * answers[:, 1:]
    return [
        ("previous", first + 1, at(first)),
        ("previous", second + 1, at(second)),
        ("duplicate", actor, at(repeated)),
        ("s_inhibition", runs.read_at, at(actor.where(values.duplicate, rest))),
        ("name_mover", runs.read_at, movers),
    ]


def log_attention(
    projections: Float[Tensor, "batch pos d_qkv"], n_heads: int, head: int, queries: Tensor
) -> Float[Tensor, "batch pos"]:
    """The logarithm of one head's attention from the positions `queries`, one a prompt."""
    parts = projections.unflatten(-1, (3, n_heads, -1))
    query, key = parts[:, :, 0, head], parts[:, :, 1, head]
    batch = torch.arange(len(queries))
    scores = torch.einsum("bd,bpd->bp", query[batch, queries], key) / key.shape[-1] ** 0.5
    later = torch.arange(key.shape[1]) > queries[:, None]
    return scores.masked_fill(later, torch.finfo(scores.dtype).min).log_softmax(-1)
