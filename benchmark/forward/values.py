"""One value per source, in the smallest space that determines it.

A head's value is its activation before W_O (d_head numbers, "z" in the literature), because its
write into the residual stream is linear in it; an MLP's and the input's are what they write.
So per-prompt ablation values of GPT-2 small take a twelfth of the memory of its head outputs,
means and learned constants live where Li & Janson (2024, section 1) put them, and a mixture of
clean and ablated activations costs one product with W_O.

In a family with post-norms (Gemma 2) z is taken after the division by the root mean square of
the block's output, and W_O includes the post-norm's gain, so the same holds there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.shape import Shape


@dataclass(frozen=True, eq=False)
class SourceValues:
    """What every source carries, or would carry if ablated.

    The axes `masks`, `batch` and `pos` are each either full or of size 1; size 1 means the same
    value for all masks, prompts or positions. With `keep_first`, position 0 (BOS) is never
    ablated: an absent edge carries its live value there. `known_sum` is set by
    `with_heads_together` only.

    Raises:
        UserError: the three tensors disagree in their `masks`, `batch` or `pos` axis.
    """

    input: Float[Tensor, "masks batch pos d_model"]
    heads: Float[Tensor, "layers heads masks batch pos d_head"]
    mlps: Float[Tensor, "layers masks batch pos d_model"]
    keep_first: bool
    known_sum: tuple[Tensor, int, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check that the tensors agree."""
        axes = {tuple(tensor.shape[-4:-1]) for tensor in self.tensors}
        if len(axes) != 1:
            raise UserError(f"source values disagree on (masks, prompts, positions): {axes}")

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Input, heads and MLPs."""
        return self.input, self.heads, self.mlps

    @property
    def axes(self) -> tuple[int, int, int]:
        """Sizes of the `masks`, `batch` and `pos` axes."""
        masks, batch, pos = self.input.shape[:-1]
        return masks, batch, pos

    @property
    def requires_grad(self) -> bool:
        """Whether any value is being learned."""
        return any(tensor.requires_grad for tensor in self.tensors)

    def map(self, change: Callable[[Tensor], Tensor]) -> "SourceValues":
        """The values after the same change to each of the three tensors."""
        values, heads, mlps = (change(tensor) for tensor in self.tensors)
        return replace(self, input=values, heads=heads, mlps=mlps, known_sum=None)

    def with_heads_together(
        self, together: Float[Tensor, "layers masks batch pos d_model"]
    ) -> "SourceValues":
        """The values with what each layer's heads add to the residual stream, already computed."""
        return replace(self, known_sum=(self.heads, version_of(self.heads), together))

    def heads_together(self, layer: int) -> Float[Tensor, "masks batch pos d_model"] | None:
        """What a layer's heads add together, if it is known and they have not changed since."""
        if self.known_sum is None:
            return None
        heads, version, together = self.known_sum
        fresh = heads is self.heads and version == version_of(heads)
        return together[layer] if fresh else None

    def detach(self) -> "SourceValues":
        """The values without their gradient history."""
        return self.map(Tensor.detach) if self.requires_grad else self


def version_of(tensor: Tensor) -> int:
    """A number that grows with every change in place (always 0 in inference mode)."""
    return 0 if tensor.is_inference() else tensor._version


def zero_values(shape: Shape, keep_first: bool, device: torch.device | str = "cpu") -> SourceValues:
    """Zero for every source."""
    sizes = shape.n_layers, shape.n_heads
    return SourceValues(
        input=torch.zeros(1, 1, 1, shape.d_model, device=device),
        heads=torch.zeros(*sizes, 1, 1, 1, shape.d_head, device=device),
        mlps=torch.zeros(shape.n_layers, 1, 1, 1, shape.d_model, device=device),
        keep_first=keep_first,
    )


def at_positions(
    value: Shaped[Tensor, "*any batch pos d"], read_at: Int[Tensor, "prompts reads"]
) -> Shaped[Tensor, "*any some_batch some_pos d"]:
    """A source's value at each prompt's read positions; unchanged if it has only one position."""
    if value.shape[-2] == 1:
        return value
    n_prompts = read_at.shape[0]
    every = value.expand(*value.shape[:-3], n_prompts, *value.shape[-2:])
    return every[..., torch.arange(n_prompts, device=value.device)[:, None], read_at, :]


def for_masks(values: SourceValues, n_masks: int) -> SourceValues:
    """Values of several sets, each given to equally many neighbouring masks; one set serves all.

    Raises:
        UserError: the masks cannot be shared out evenly.
    """
    n_sets = values.axes[0]
    if n_sets in (1, n_masks):
        return values
    if n_masks % n_sets:
        raise UserError(f"{n_sets} sets of constants cannot serve {n_masks} masks evenly")
    return values.map(lambda x: x.repeat_interleave(n_masks // n_sets, dim=-4))


def for_length(rows: SourceValues, n_positions: int) -> SourceValues:
    """Position-wise values cut or extended to a prompt length; the last row serves the rest."""
    if rows.axes[2] == 1:
        return rows
    index = torch.arange(n_positions, device=rows.input.device).clamp(max=rows.axes[2] - 1)
    return rows.map(lambda x: x.index_select(-2, index))
