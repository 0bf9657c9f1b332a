"""The residual stream as blocks see it: something to read from and to write to.

The plain stream is the ordinary sum. The masked stream gives every reader its own mixture of
live and ablated sources. The layer loop in layers.py is the same for both.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.forward.mixture import Mixture
from benchmark.forward.mixture_autograd import Focus, Open, Read, Write
from benchmark.forward.values import SourceValues, at_positions
from benchmark.graph.graph import Stage
from benchmark.transformer.blocks import write_heads
from benchmark.transformer.kernels import project_heads, project_normed
from benchmark.transformer.weights import Attention, Norm, Projection


@runtime_checkable
class Stream(Protocol):
    """What the layer loop needs of a residual stream. All tensors have 5 axes (see blocks.py)."""

    def read(self, stage: Stage) -> Float[Tensor, "readers masks batch pos d_model"]:
        """The input of each reader of a stage, or one input that they all share."""
        ...

    def project(
        self, stage: Stage, norm: Norm, *projections: Projection
    ) -> tuple[Float[Tensor, "heads masks batch pos d_head"], ...]:
        """What a stage of attention readers makes of their normalised inputs."""
        ...

    def focus(self, read_at: Int[Tensor, "batch reads"], n_sources: int) -> None:
        """Continue at the read positions only; `n_sources` sources are written so far."""
        ...

    def write_heads(self, layer: int, z: Tensor, block: Attention) -> None:
        """Add a layer's heads, given their activations before W_O."""
        ...

    def needed_by_mlp(
        self, layer: int, x: Float[Tensor, "1 masks batch pos d_model"]
    ) -> Float[Tensor, "1 masks batch some_pos d_model"]:
        """The positions of an MLP's input at which its output tells."""
        ...

    def write_mlp(self, layer: int, out: Float[Tensor, "1 masks batch pos d_model"]) -> None:
        """Add a layer's MLP output, at those positions."""
        ...


class PlainStream:
    """The unablated residual stream, which can record every source's value on its way.

    Once it is focused, only values at the read positions are recorded.
    """

    def __init__(
        self, x: Float[Tensor, "1 rows batch pos d_model"], record: SourceValues | None = None
    ) -> None:
        self._x = x
        self._record = record
        self._read_at: Int[Tensor, "batch reads"] | None = None
        if record is not None:
            record.input.copy_(x[0].detach())
            self._heads_together = torch.empty_like(record.mlps)

    def read(self, stage: Stage) -> Float[Tensor, "1 rows batch pos d_model"]:
        """The residual stream; all readers share it."""
        return self._x

    @property
    def x(self) -> Float[Tensor, "1 rows batch pos d_model"]:
        """The residual stream as it is now."""
        return self._x

    def project(self, stage: Stage, norm: Norm, *projections: Projection) -> tuple[Tensor, ...]:
        """Norm and projections, once for all readers."""
        return project_heads(norm(self.read(stage)), *projections)

    def focus(self, read_at: Int[Tensor, "batch reads"], n_sources: int) -> None:
        """Drop all other positions."""
        self._x = at_positions(self._x, read_at)
        self._read_at = read_at

    def write_heads(self, layer: int, z: Tensor, block: Attention) -> None:
        """Add the heads and the attention output bias."""
        together = write_heads(z, block.W_O)
        if self._record is not None:
            self._enter(self._record.heads[layer], z)
            self._enter(self._heads_together[layer], together[0])
        self._x = self._x + together
        if block.b_O is not None:
            self._x = self._x + block.b_O

    def needed_by_mlp(self, layer: int, x: Tensor) -> Tensor:
        """All of them."""
        return x

    def write_mlp(self, layer: int, out: Float[Tensor, "1 rows batch pos d_model"]) -> None:
        """Add the MLP."""
        if self._record is not None:
            self._enter(self._record.mlps[layer], out[0])
        self._x = self._x + out

    def source_values(self) -> SourceValues:
        """What was recorded, once every source has written."""
        assert self._record is not None
        return self._record.with_heads_together(self._heads_together)

    def _enter(self, record: Tensor, value: Tensor) -> None:
        if self._read_at is None:
            record.copy_(value.detach())
        else:
            rows = torch.arange(len(self._read_at), device=value.device)[:, None]
            record[..., rows, self._read_at, :] = value.detach()


class MaskedStream:
    """The residual stream of an ablated model: one mixture per reader and mask."""

    def __init__(
        self, mixture: Mixture, mask: Float[Tensor, "masks src dst"], values: SourceValues
    ) -> None:
        self.mixture = mixture
        self._token: Tensor = Open.apply(mixture, mask, *values.tensors)

    def read(self, stage: Stage) -> Float[Tensor, "readers masks batch pos d_model"]:
        """The mixture that each reader sees; one for all if the mask is a node mask."""
        return Read.apply(self.mixture, self._token, stage)

    def project(self, stage: Stage, norm: Norm, *projections: Projection) -> tuple[Tensor, ...]:
        """Norm and projection of every reader's own mixture."""
        return project_normed(self.read(stage), norm, *projections)

    def focus(self, read_at: Int[Tensor, "batch reads"], n_sources: int) -> None:
        """Gather the read positions of everything written so far."""
        self._token = Focus.apply(self.mixture, self._token, read_at, n_sources)

    def write_input(self, embedding: Float[Tensor, "batch pos d_model"]) -> None:
        """Enter the input source."""
        values = self.mixture.values.input
        self._write(0, embedding[None, None], values[None], None)

    def write_heads(self, layer: int, z: Tensor, block: Attention) -> None:
        """Enter a layer's heads; the attention output bias always passes."""
        values = self.mixture.values
        together = values.heads_together(layer)
        first = self.mixture.graph.head_source(layer)
        self._write(first, z, values.heads[layer], block.W_O, together)
        if block.b_O is not None:
            self.mixture.current.base.add_(block.b_O)

    def needed_by_mlp(self, layer: int, x: Tensor) -> Tensor:
        """All positions, or of an MLP that no reader keeps those that are never ablated."""
        if not self.mixture.is_unread(self.mixture.graph.mlp_source(layer)):
            return x
        keeps_first = self.mixture.values.keep_first and self.mixture.read_at is None
        return x[..., : int(keeps_first), :]

    def write_mlp(self, layer: int, out: Float[Tensor, "1 masks batch some_pos d_model"]) -> None:
        """Enter a layer's MLP."""
        source, values = self.mixture.graph.mlp_source(layer), self.mixture.values.mlps[layer]
        if self.mixture.is_unread(source):
            self._write_unread(source, out.detach()[0], values)
        else:
            self._write(source, out, values[None], None)

    def _write_unread(self, source: int, first: Tensor, replacement: Tensor) -> None:
        """Enter the ablation values of a source, and what it writes where it is never ablated."""
        mixture = self.mixture
        if mixture.read_at is not None:
            replacement = at_positions(replacement, mixture.read_at)
        base, n_kept = mixture.current.base, first.shape[-2]
        base += replacement
        base[..., :n_kept, :] += first - replacement[..., :n_kept, :]
        mixture.current.slots(source, 1).zero_()

    def _write(
        self,
        first: int,
        live: Tensor,
        replacement: Tensor,
        W: Tensor | None,
        together: Tensor | None = None,
    ) -> None:
        mixture = self.mixture
        if mixture.read_at is not None:
            replacement = at_positions(replacement, mixture.read_at)
            together = None if together is None else at_positions(together, mixture.read_at)
        difference = live - replacement
        base = mixture.current.base
        base += _summed(replacement, W) if together is None else together
        if mixture.values.keep_first and mixture.read_at is None:
            with torch.no_grad():
                base[..., :1, :] += _summed(difference[..., :1, :], W)
            difference[..., 0, :] = 0
        full = difference.expand(len(live), *mixture.current.live.shape[1:-1], -1)
        self._token = Write.apply(mixture, self._token, full, first, W)


def _summed(values: Tensor, W: Tensor | None) -> Float[Tensor, "masks batch pos d_model"]:
    """What neighbouring sources add to the residual stream together."""
    return values.sum(0) if W is None else write_heads(values, W)
