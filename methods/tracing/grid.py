"""The grid of tokens and layers: every token from the subject on restored by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.tracing.restoring import Restoration, restored_logits
from benchmark.effects.tracing.schedule import window
from benchmark.effects.tracing.subjects import first_positions
from benchmark.effects.tracing.trace import Restored
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer
from methods.tracing.measures import answer_probability
from methods.tracing.tracer import Tracer


@dataclass(frozen=True, eq=False)
class Grid:
    """Probabilities of the clean run's answer, means over draws.

    Attributes:
        restored: by what is restored and the width of its window, with one token of one layer
            restored; not a number before the subject and behind the read position.
        corrupted: with none restored.
    """

    restored: dict[tuple[Restored, int], Float[Tensor, "facts pos layers"]]
    corrupted: Float[Tensor, " facts"]


def traced_grid(
    model: Transformer, tracer: Tracer, facts: Batch, kinds: Sequence[Restored], width: int
) -> Grid:
    """Restore every token of every fact by itself, states in one layer and outputs in a window."""
    places = [(kind, 1 if kind is Restored.state else width) for kind in kinds]
    parts: dict[tuple[Restored, int], list[Tensor]] = {place: [] for place in places}
    levels = []
    for batch, clean, corrupted in tracer.corrupted(facts):
        answers = clean.logits(model, batch.read_at)[0].argmax(-1)
        whole = corrupted.logits(model, batch.read_at)
        levels.append(answer_probability(whole, answers).mean(0).cpu())
        first = first_positions(batch)
        for kind, width_of_kind in places:
            layers = tuple(
                window(layer, width_of_kind, model.shape.n_layers)
                for layer in range(model.shape.n_layers)
            )
            grid = levels[-1].new_full(
                (len(batch), facts.n_positions, model.shape.n_layers), torch.nan
            )
            for offset in range(int((batch.read_at - first).max()) + 1):
                # Prompts that have ended restore their last token once more.
                token = (first + offset).minimum(batch.read_at)
                asked = Restoration(kind, layers, token, token + 1, tracer.severed)
                logits = restored_logits(model, batch, clean, corrupted, asked)
                found = answer_probability(logits, answers).mean(1).cpu()
                grid[torch.arange(len(batch)), token.cpu()] = found.T
            parts[kind, width_of_kind].append(grid)
    return Grid({place: torch.cat(found) for place, found in parts.items()}, torch.cat(levels))
