"""Lenses that are fitted: from the state before a layer to logits.

Two forms serve them all. A translator maps the state to what the final state would be, affinely
(logit, tuned, Jacobian lens). A lens with attention replaced runs the layers' own MLPs, with given
values in place of what attention would add (Li & Janson 2024, arXiv 2409.09951, section 5).
Either ends with the model's own final norm, unembedding and soft-cap.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.states import logits_of_final, without_attention, without_attention_from_each
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer


@runtime_checkable
class FittedLens(Protocol):
    """A lens that is ready to read the states of one model.

    Attributes:
        form: which of the forms it is, as its file says.
    """

    form: ClassVar[str]

    @property
    def model(self) -> Transformer:
        """Whose states it reads."""
        ...

    @property
    def n_parameters(self) -> int:
        """Numbers that the lens holds, beside the model's own."""
        ...

    def final(
        self, states: Float[Tensor, "*places d_model"], layer: int
    ) -> Float[Tensor, "*places d_model"]:
        """What the lens takes for the final state, given the state before a layer."""
        ...

    def finals(
        self, states: Float[Tensor, "layers places d_model"]
    ) -> Float[Tensor, "layers places d_model"]:
        """The same for the states before every layer."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All that a file must hold."""
        ...


def lens_logits(
    lens: FittedLens, states: Float[Tensor, "*places d_model"], layer: int
) -> Float[Tensor, "*places vocab"]:
    """Logits that a lens reads from the states before `layer`.

    Raises:
        UserError: there is no such layer, or the states have another width.
    """
    shape = lens.model.shape
    if not 0 <= layer <= shape.n_layers:
        raise UserError(
            f"layer {layer} is not one of 0..{shape.n_layers}; the last stands for the final state"
        )
    if states.shape[-1] != shape.d_model:
        raise UserError(
            f"states have {states.shape[-1]} numbers; this lens reads those of a model of width "
            f"{shape.d_model}"
        )
    final = states if layer == shape.n_layers else lens.final(states, layer)
    return logits_of_final(lens.model, final)


@dataclass(frozen=True, eq=False)
class TranslatorLens:
    """The final state as an affine map of the state: W_l h + b_l.

    Attributes:
        model: whose states it reads.
        weight: a matrix for each layer, or None for the identity.
        bias: a vector for each layer, or None for zero.
    """

    form: ClassVar[str] = "translator"
    model: Transformer
    weight: Float[Tensor, "layers d_model d_model"] | None
    bias: Float[Tensor, "layers d_model"] | None

    @property
    def n_parameters(self) -> int:
        """Of all layers."""
        return sum(x.numel() for x in self.tensors().values())

    def final(self, states: Tensor, layer: int) -> Tensor:
        """W_l h + b_l."""
        turned = states if self.weight is None else states @ self.weight[layer].mT
        return turned if self.bias is None else turned + self.bias[layer]

    def finals(self, states: Tensor) -> Tensor:
        """The same for every layer."""
        turned = states if self.weight is None else states @ self.weight.mT
        return turned if self.bias is None else turned + self.bias[:, None]

    def tensors(self) -> dict[str, Tensor]:
        """Matrices and vectors, where there are any."""
        named = {"weight": self.weight, "bias": self.bias}
        return {name: x for name, x in named.items() if x is not None}


@dataclass(frozen=True, eq=False)
class ConstantAttentionLens:
    """The layers' own MLPs, with a constant in place of what attention adds.

    Attributes:
        model: whose states it reads.
        constants: for each layer k, one for all start layers or one for each of 0..k.
    """

    form: ClassVar[str] = "constant attention"
    model: Transformer
    constants: tuple[Float[Tensor, "_ d_model"], ...]

    @property
    def n_parameters(self) -> int:
        """Of all layers and start layers."""
        return sum(x.numel() for x in self.constants)

    def final(self, states: Tensor, layer: int) -> Tensor:
        """The final state from one start layer."""
        rows = states.reshape(1, -1, states.shape[-1])

        def attention(k: int) -> Tensor:
            return self.constants[k][min(layer, len(self.constants[k]) - 1)][None, None]

        return without_attention(self.model, rows, layer, attention).reshape(states.shape)

    def finals(self, states: Tensor) -> Tensor:
        """The final states from all start layers, in one sweep over the layers."""
        return without_attention_from_each(self.model, states, lambda k: self.constants[k][:, None])

    def tensors(self) -> dict[str, Tensor]:
        """The constants of each layer."""
        return {f"layer {k:03d}": x for k, x in enumerate(self.constants)}


@dataclass(frozen=True, eq=False)
class ResampledAttentionLens:
    """The layers' own MLPs, with what attention added in another text in place of its own.

    Which text serves a place is drawn anew at every reading, by a seed: the same reading of as many
    places gives the same logits, also where rows of them are read, as of changed states.

    Attributes:
        model: whose states it reads.
        donors: what each layer's attention added at the places of other texts.
        seed: of the draws.
    """

    form: ClassVar[str] = "resampled attention"
    model: Transformer
    donors: Float[Tensor, "layers donors d_model"]
    seed: int

    @property
    def n_parameters(self) -> int:
        """None is fitted."""
        return 0

    def final(self, states: Tensor, layer: int) -> Tensor:
        """The final state from one start layer."""
        n_places = states.shape[-2] if states.ndim > 1 else 1
        rows = states.reshape(-1, n_places, states.shape[-1])
        attention = self._attention(n_places)
        return without_attention(self.model, rows, layer, attention).reshape(states.shape)

    def finals(self, states: Tensor) -> Tensor:
        """The final states from all start layers, each with the same donors."""
        return without_attention_from_each(self.model, states, self._attention(states.shape[1]))

    def tensors(self) -> dict[str, Tensor]:
        """The donors, and the seed."""
        return {"donors": self.donors, "seed": torch.tensor(self.seed)}

    def _attention(self, n_places: int):  # noqa: ANN202
        draw = generator(self.seed, "donors of a lens", n_places)
        chosen = torch.randint(self.donors.shape[1], (n_places,), generator=draw)
        chosen = chosen.to(self.donors.device)
        return lambda k: self.donors[k, chosen][None]
