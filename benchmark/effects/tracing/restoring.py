"""Restored runs: the corrupted run with some of its states or outputs set to the clean run's.

Rows of one pass restore different layers, at the same positions. They begin in the first layer and
at the first position in which they differ from the corrupted run (schedule.py, span.py).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.effects.tracing.schedule import Schedule
from benchmark.effects.tracing.span import OfTokens, Span
from benchmark.effects.tracing.trace import (
    Edit,
    Restored,
    Rows,
    Trace,
    count_rows,
    layouts,
    through_layer,
)
from benchmark.errors import UserError
from benchmark.forward.layers import unembedded
from benchmark.meter import count_passes
from benchmark.prompts.batch import Batch
from benchmark.transformer import blocks
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Restoration:
    """What is restored, a row for each set of layers.

    Attributes:
        what: states, or the outputs of attention or MLPs.
        layers: the layers that each row restores.
        start: the first position that is restored, of each prompt.
        stop: the position behind the last.
        severed: outputs that keep their corrupted values at these positions where they are not
            restored, in all layers (Meng et al. 2022, figure 3), or None.

    Raises:
        UserError: states cannot be severed, as nothing would be left.
    """

    what: Restored
    layers: tuple[frozenset[int], ...]
    start: Int[Tensor, " batch"]
    stop: Int[Tensor, " batch"]
    severed: Restored | None = None

    def __post_init__(self) -> None:
        """Check what is severed."""
        if self.severed is Restored.state:
            raise UserError("states cannot be severed; give attention or mlp")

    def of_rows(self, rows: slice) -> "Restoration":
        """Some of the rows."""
        return Restoration(self.what, self.layers[rows], self.start, self.stop, self.severed)


@torch.no_grad()
def restored_logits(
    model: Transformer, batch: Batch, clean: Trace, corrupted: Trace, asked: Restoration
) -> Float[Tensor, "sets rows batch vocab"]:
    """Logits at the read positions, for every set of layers and every row of the corrupted run.

    Args:
        model: the model.
        batch: the prompts; what is restored lies at or before their read positions.
        clean: the run of the prompts as they are.
        corrupted: the corrupted run.
        asked: what is restored; no set of layers is empty.
    """
    schedule = Schedule.of(asked.layers, model.shape.n_layers)
    state = _Restoring(model, batch, clean, corrupted, asked).run(schedule)
    rows = unembedded(model, state)[0, :, 0].unflatten(0, (-1, corrupted.n_rows))
    return rows[list(schedule.ends)]


def own_logits(
    model: Transformer,
    batch: Batch,
    clean: Trace,
    embeddings: Float[Tensor, "rows batch pos d_model"],
    asked: Restoration,
    first: Int[Tensor, " batch"],
) -> Float[Tensor, "rows batch vocab"]:
    """The same for rows with an embedding each, from the first layer on; differentiable in them.

    Args:
        model: the model.
        batch: the prompts.
        clean: the run of the prompts as they are.
        embeddings: the residual stream before layer 0, the clean one before `first`.
        asked: what is restored in each row; its set of layers may be empty. Nothing is severed.
        first: the first position that is corrupted, of each prompt.
    """
    edits, steps = _Edits(clean, None, asked), layouts(model, batch, first)
    span = steps[0].inputs
    x = span.of_values(embeddings[None])
    for index, layout in enumerate(steps):
        chosen = torch.tensor([index in layers for layers in asked.layers], device=x.device)
        known = clean.keys[index], clean.values[index]
        edit = edits.of_outputs(index, layout.outputs, chosen)
        passed = through_layer(model, index, x, layout, known, edit)
        x = edits.of_state(index, layout.outputs, chosen, passed.state)
    logits = unembedded(model, x)[0, :, 0]
    count_passes(logits, len(embeddings) * len(batch), len(span.prompts) / batch.clean.numel())
    return logits


class _Edits:
    """What sets outputs and states of rows to those of the clean run."""

    def __init__(self, clean: Trace, corrupted: Trace | None, asked: Restoration) -> None:
        self._clean, self._corrupted, self._asked = clean, corrupted, asked

    def of_outputs(self, index: int, span: Span, chosen: Bool[Tensor, " rows"]) -> Edit:
        """The change of what attention and MLP of a layer add, in the rows that are chosen."""
        places = self._places(span)

        def edit(part: Restored, output: Tensor) -> Tensor:
            if part is self._asked.severed:
                assert self._corrupted is not None
                own = span.of_values(_outputs(self._corrupted, part)[index])
                times = output.shape[1] // own.shape[1]
                output = torch.where(places, own.repeat(1, times, 1, 1, 1), output)
            if part is self._asked.what:
                clean = span.of_values(_outputs(self._clean, part)[index])
                output = torch.where(_of_rows(chosen) & places, clean, output)
            return output

        return edit

    def of_state(
        self, index: int, span: Span, chosen: Bool[Tensor, " rows"], state: OfTokens
    ) -> OfTokens:
        """The state behind a layer, restored in the rows that are chosen."""
        if self._asked.what is not Restored.state:
            return state
        clean = span.of_values(self._clean.states[index + 1])
        return torch.where(_of_rows(chosen) & self._places(span), clean, state)

    def _places(self, span: Span) -> Bool[Tensor, "tokens 1"]:
        return span.between(self._asked.start, self._asked.stop)[:, None]


class _Restoring:
    """One pass over all layers, whose rows begin and branch as they begin to differ."""

    def __init__(
        self, model: Transformer, batch: Batch, clean: Trace, corrupted: Trace, asked: Restoration
    ) -> None:
        self._model, self._batch, self._corrupted, self._asked = model, batch, corrupted, asked
        self._edits = _Edits(clean, corrupted, asked)
        self._layouts = layouts(model, batch, asked.start)
        self._n_drawn = corrupted.n_rows

    def run(self, schedule: Schedule) -> OfTokens:
        """The states behind the last layer at the read positions, a row for each of its rows."""
        x, n_run = None, 0
        for index, step in enumerate(schedule.steps):
            rows = []
            if step.parents:
                assert x is not None
                chosen = self._per_draw(torch.tensor(step.restored))
                rows.append(self._gone_on(index, self._branched(x, step.parents), chosen))
            if step.joins:
                rows.append(self._joined(index))
            x = torch.cat(rows, 1) if rows else None
            n_run += len(step.parents)
        span = self._layouts[0].inputs
        count_rows(self._model, n_run * self._n_drawn, span, self._batch, 1)
        assert x is not None
        return x

    def _per_draw(self, of_sets: Tensor) -> Tensor:
        return of_sets.repeat_interleave(self._n_drawn).to(self._batch.clean.device)

    def _branched(
        self, x: OfTokens, parents: tuple[int, ...]
    ) -> Float[Tensor, "1 branches 1 tokens d_model"]:
        if parents == tuple(range(x.shape[1] // self._n_drawn)):
            return x
        draws = torch.arange(self._n_drawn)
        rows = torch.tensor(parents)[:, None] * self._n_drawn + draws
        return x.index_select(1, rows.flatten().to(x.device))

    def _gone_on(
        self, index: int, x: OfTokens, chosen: Tensor
    ) -> Float[Tensor, "1 rows 1 outputs d_model"]:
        """Rows that differed before this layer."""
        layout = self._layouts[index]
        known = self._corrupted.keys[index], self._corrupted.values[index]
        edit = self._edits.of_outputs(index, layout.outputs, chosen)
        passed = through_layer(self._model, index, x, layout, known, edit)
        return self._edits.of_state(index, layout.outputs, chosen, passed.state)

    def _joined(self, index: int) -> OfTokens:
        """The row that is restored here for the first time; what it reads is all corrupted."""
        here, known = self._layouts[index].outputs, self._corrupted
        chosen = self._per_draw(torch.tensor([True]))
        x, attention, mlp = (
            here.of_values(of_layers[index])
            for of_layers in (known.states, known.attention, known.mlps)
        )
        edit = self._edits.of_outputs(index, here, chosen)
        attention = edit(Restored.attention, attention)
        if self._asked.what is Restored.attention and not self._model.graph.parallel:
            mlp = blocks.mlp(self._model.weights.layers[index].mlp, x + attention)
        state = x + attention + edit(Restored.mlp, mlp)
        return self._edits.of_state(index, here, chosen, state)


def _outputs(trace: Trace, part: Restored) -> tuple[Rows, ...]:
    return trace.attention if part is Restored.attention else trace.mlps


def _of_rows(chosen: Bool[Tensor, " rows"]) -> Bool[Tensor, "1 rows 1 1 1"]:
    return chosen[None, :, None, None, None]
