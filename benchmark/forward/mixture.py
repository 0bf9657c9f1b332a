"""The memory behind a masked forward pass, and its hand-written gradient.

Every destination v reads  x_v = sum_u [ m_uv y_u + (1 - m_uv) c_u ]  over the sources u before
it: live values y, ablation values c, mask m (Li & Janson 2024, section 1.2). Written as
x_v = sum_u m_uv (y_u - c_u) + sum_u c_u, all readers of a block are one matrix product of the
mask with a buffer of differences D_u = y_u - c_u; the sum of all c_u so far is one more row of
that buffer, always kept. The buffer is filled in place, source by source, and never re-stacked.
Where only some neurons of a source are kept, D_u is multiplied by them, coordinate by coordinate,
as it is written.

The gradient of the differences accumulates in a second buffer of the same size; autograd reaches
it through the functions of mixture_autograd.py.

Cost of one pass, in multiply-adds per position and mask: E * d_model for the mixing (E =
edges) beside the model's own; backward twice that (once for the mask, once for the sources).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.forward.buffer import Buffer, MaskLayout
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph, Stage
from benchmark.transformer.weights import Layer


class Mixture:
    """All state of one masked pass: mask, ablation values, buffers and their gradients.

    It holds no autograd history (the token does), so it can be referenced from autograd's nodes
    without a cycle.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        layers: tuple[Layer, ...],
        masks: Float[Tensor, "masks src dst"],
        values: SourceValues,
        buffer: Buffer,
        constants_learn_below: float | None,
        neurons: Float[Tensor, "src rows 1 1 d_model"] | None = None,
    ) -> None:
        self.graph, self.layers = graph, layers
        self.masks, self.values = masks.detach(), values.detach()
        self.mask_learns, self.values_learn = masks.requires_grad, values.requires_grad
        self.layout = MaskLayout.of(self.masks, buffer.n_shared)
        self.neurons = neurons
        self.buffer: Buffer = buffer
        self.tail: Buffer | None = None
        self.read_at: Int[Tensor, "batch reads"] | None = None
        self.n_before_focus = 0
        # The edges that are kept, if no others need be mixed: masks do not learn, and to look at
        # them makes no GPU wait.
        looked_at = not self.mask_learns and masks.device.type == "cpu"
        self.needed = self.masks != 0 if looked_at else None
        self.unread = None if self.needed is None else ~self.needed.any(-1).any(0)
        # Of layers' MLPs, by destination: what the sources before the layer give them, how many
        # these are, and the gradient on its way back there.
        self.begun: dict[int, Tensor] = {}
        self.n_begun: dict[int, int] = {}
        self.returning: dict[int, Tensor] = {}
        self.mask_gradient: Float[Tensor, "masks dst src"] | None = None
        self.value_gradient: Float[Tensor, "src masks batch pos d_model"] | None = None
        if self.values_learn:
            # How much of an ablation value's gradient each edge passes.
            self.ablated = 1 - self.masks
            if constants_learn_below is not None:
                self.ablated *= self.masks < constants_learn_below

    @property
    def current(self) -> Buffer:
        """The buffer that blocks read and write now."""
        return self.tail or self.buffer

    def is_unread(self, source: int) -> bool:
        """Whether no reader of any mask keeps what a source writes."""
        return self.unread is not None and bool(self.unread[source])

    def columns(self, stage: Stage) -> slice:
        """The mask's destination columns of a stage; a node mask has a single one."""
        return slice(0, 1) if self.masks.shape[-1] == 1 else stage.destinations

    def _whole(self, stage: Stage) -> Stage:
        """A stage of heads with the MLP of their layer, as far as both read the same sources.

        To pass over all sources again for the MLP alone would cost as much time as for the heads.
        """
        one_for_all = self.masks.shape[-1] == 1
        of_heads = stage.stop - stage.start == 3 * self.graph.n_heads
        if one_for_all or self.graph.parallel or not of_heads:
            return stage
        return Stage(stage.start, stage.stop + 1, stage.n_sources)

    def read(self, stage: Stage) -> Float[Tensor, "readers masks batch pos d"]:
        """What the readers of a stage receive."""
        if stage.start in self.begun:
            return self._finished(self.begun.pop(stage.start), stage)
        whole = self._whole(stage)
        slots = self.current.slots_of(0, whole.n_sources)
        keep = self.layout.live[:, self.columns(whole), : slots.stop]
        if whole == stage:
            return self._mixed(self.current, whole, keep)
        # The sum of ablation values grows until the MLP reads it.
        keep = keep.clone()
        keep[:, -1, 0] = 0
        x = self._mixed(self.current, whole, keep)
        self.n_begun[stage.stop] = stage.n_sources
        self.begun[stage.stop] = x[-1:]
        return x[:-1]

    def _finished(self, begun: Tensor, stage: Stage) -> Float[Tensor, "1 masks batch pos d"]:
        """What an MLP receives, with what its own layer's heads add to what the others gave."""
        buffer = self.current
        slots = buffer.slots_of(self.n_begun[stage.start], stage.n_sources)
        keep = self.layout.live[:, self.columns(stage), slots]
        x = torch.baddbmm(begun.flatten(2).transpose(0, 1), keep, buffer.rows(slots))
        return x.transpose(0, 1).view(begun.shape).add_(buffer.base)

    def _mixed(
        self, buffer: Buffer, stage: Stage, keep: Float[Tensor, "masks readers slots"]
    ) -> Float[Tensor, "readers masks batch pos d"]:
        columns = self.columns(stage)
        needed = self.needed
        if needed is not None:
            needed = needed[:, buffer.n_shared : stage.n_sources, columns].any(-1)
        return buffer.mixed(keep, self.layout.shared[columns].flatten(0, 1), needed)

    def focus(self, read_at: Int[Tensor, "batch reads"], n_sources: int) -> None:
        """Continue at the read positions only, with the first `n_sources` sources gathered."""
        self.read_at, self.n_before_focus = read_at, n_sources
        old, prompts = self.buffer, _rows_of(read_at)
        live = old.live.new_empty(*old.live.shape[:3], read_at.shape[1], old.live.shape[-1])
        written = 1 + n_sources - old.n_shared
        live[:written] = old.live[:written, :, prompts, read_at]
        shared = None if old.shared is None else old.shared[:, prompts, read_at]
        self.tail = Buffer(live, shared)

    def write(self, first: int, difference: Tensor, W: Tensor | None) -> None:
        """Enter the differences of neighbouring sources, through their output weights if any."""
        slots = self.current.slots(first, len(difference))
        if W is None:
            slots.copy_(difference)
        elif W.dtype == slots.dtype:
            torch.bmm(difference.flatten(1, 3), W, out=slots.flatten(1, 3))
        else:
            written = torch.bmm(difference.flatten(1, 3).to(W.dtype), W)
            slots.copy_(written.view_as(slots))
        neurons = self.neurons_of(first, len(difference))
        if neurons is not None:
            slots *= neurons

    def neurons_of(self, first: int, count: int) -> Float[Tensor, "count rows 1 1 d_model"] | None:
        """How much of each coordinate of neighbouring sources is kept, if that differs."""
        return None if self.neurons is None else self.neurons[first : first + count]

    def start_backward(self) -> None:
        """Clear all gradients; a second backward pass through the same graph starts afresh."""
        self.returning.clear()
        for buffer in (self.buffer, self.tail):
            if buffer is not None:
                buffer.clear_gradient()
        if self.mask_learns:
            self.mask_gradient = torch.zeros_like(self.masks.transpose(1, 2))
        if self.values_learn:
            axes = (self.graph.n_sources, *self.values.input.shape)
            self.value_gradient = self.buffer.live.new_zeros(axes)

    def read_backward(self, buffer: Buffer, stage: Stage, dx: Tensor) -> None:
        """Spread the gradient of what a stage read over mask, sources and ablation values."""
        first = self.n_begun.get(stage.start, 0)
        if first:
            self.returning[stage.start] = dx
        elif stage.stop in self.returning:
            dx = torch.cat([dx, self.returning.pop(stage.stop)])
            stage = self._whole(stage)
        slots, columns = buffer.slots_of(first, stage.n_sources), self.columns(stage)
        dx_rows = dx.contiguous().flatten(2).transpose(0, 1)
        if self.mask_gradient is not None:
            into = self.mask_gradient[:, columns]
            into[..., max(first, buffer.n_shared) : stage.n_sources] += (
                dx_rows @ buffer.rows(slots).mT
            )
            if buffer.shared is not None and not first:
                into[..., : buffer.n_shared] += dx_rows @ buffer.shared.flatten(1).mT
        buffer.add_gradient(slots.start - 1, self.layout.live[:, columns, slots].mT, dx_rows)
        if self.value_gradient is not None:
            part = self._ablated_part(buffer, slice(first, stage.n_sources), columns, dx)
            self.value_gradient[first : stage.n_sources] += part

    def _ablated_part(self, buffer: Buffer, sources: slice, columns: slice, dx: Tensor) -> Tensor:
        """The gradient of some ablation values from some readers: (1 - m) of what arrives there.

        With neurons n it is (1 - m n), which is n (1 - m) + (1 - n).
        """
        ablated = self.ablated[:, sources, columns]
        masks, batch, pos = self.values.axes
        dx = self._over_positions(dx, pos, focused=buffer is self.tail)
        dx = dx.sum(2, keepdim=True) if batch == 1 else dx
        rows = dx.flatten(2).transpose(0, 1)
        count = sources.stop - sources.start
        neurons = self.neurons_of(sources.start, count)
        if masks == 1 and neurons is None:
            # One set of values for all masks: sum over readers and masks together.
            ablated, rows = ablated.transpose(0, 1).flatten(1)[None], rows.flatten(0, 1)[None]
        part = torch.bmm(ablated, rows).transpose(0, 1)
        part = part.reshape(count, -1, *dx.shape[2:])
        if neurons is not None:
            part = dx.sum(0).lerp(part, neurons)
            part = part.sum(1, keepdim=True) if masks == 1 else part
        return part

    def _over_positions(self, dx: Tensor, pos: int, focused: bool) -> Tensor:
        """Sum or place a gradient on the positions of the ablation values, none on a kept first."""
        keep_first = self.values.keep_first and not focused
        if pos == 1:
            return dx[..., int(keep_first) :, :].sum(-2, keepdim=True)
        if keep_first:
            dx = torch.nn.functional.pad(dx[..., 1:, :], (0, 0, 1, 0))
        if not focused:
            return dx
        assert self.read_at is not None
        placed = dx.new_zeros(*dx.shape[:-2], pos, dx.shape[-1])
        placed[:, :, _rows_of(self.read_at), self.read_at] = dx
        return placed

    def focus_backward(self) -> None:
        """Hand the tail's gradient to the read positions of the whole buffer."""
        assert self.tail is not None and self.tail.gradient is not None
        assert self.read_at is not None
        n_live = self.n_before_focus - self.buffer.n_shared
        positions = _rows_of(self.read_at), self.read_at
        self.buffer.add_gradient_at(positions, self.tail.gradient[:n_live])

    def compact_value_gradient(self) -> tuple[Tensor, Tensor, Tensor]:
        """The gradient of the ablation values in their own space: input, heads and MLPs."""
        gradient, graph = self.value_gradient, self.graph
        assert gradient is not None
        heads = [
            gradient[graph.head_source(i) : graph.mlp_source(i)].flatten(1, 3)
            @ layer.attention.W_O.mT.to(gradient.dtype)
            for i, layer in enumerate(self.layers)
        ]
        mlps = [gradient[graph.mlp_source(i)] for i in range(graph.n_layers)]
        return gradient[0], torch.stack(heads).view_as(self.values.heads), torch.stack(mlps)


def _rows_of(read_at: Int[Tensor, "batch reads"]) -> Int[Tensor, "batch 1"]:
    return torch.arange(len(read_at), device=read_at.device)[:, None]
