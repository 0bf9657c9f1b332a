"""A sparse autoencoder of one MLP's output: how few latents reconstruct it, and what that costs.

One hidden layer of ReLU latents with an L1 price, unit decoder columns, inputs scaled to a mean
norm of sqrt(width), the encoder begun as the decoder's transpose: the recipe of Ferrao et al.
(2025) with SAELens, but for its steps and learning rate, which are a laptop's. SAELens itself
(6.54) needs an older TransformerLens than this suite, dictionary-learning (0.1) an older nnsight,
and sparsify (1.3) trains autoencoders of another kind (top k).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.prompts.batch import Batch
from benchmark.seeds import derived_seed, generator

BATCH, LEARNING_RATE = 512, 0.003


@dataclass(frozen=True)
class Autoencoder:
    """A trained autoencoder.

    Attributes:
        decoder: of unit rows, [latents, width]. encoder: [width, latents].
        bias: of the latents. centre: of the inputs. scale: inputs are divided by it.
    """

    decoder: Float[Tensor, "latents width"]
    encoder: Float[Tensor, "width latents"]
    bias: Float[Tensor, " latents"]
    centre: Float[Tensor, " width"]
    scale: float

    def latents(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows latents"]:
        """The latents of MLP outputs."""
        return torch.relu((x / self.scale - self.centre) @ self.encoder + self.bias)

    def reconstructed(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """MLP outputs as their latents say."""
        return (self.latents(x) @ self.decoder + self.centre) * self.scale


def train_autoencoder(
    x: Float[Tensor, "tokens width"], expansion: int, price: float, steps: int, seed: int
) -> Autoencoder:
    """An autoencoder of `expansion` times as many latents as the input has dimensions."""
    width = x.shape[1]
    scale = float(x.norm(dim=1).mean()) / width**0.5
    torch.manual_seed(derived_seed(seed, "autoencoder"))
    decoder = torch.nn.functional.normalize(torch.randn(expansion * width, width), dim=1)
    begun = (decoder, decoder.T.clone(), torch.zeros(len(decoder)), (x / scale).mean(0))
    one = Autoencoder(*begun, scale)
    for part in begun:
        part.requires_grad_()
    optimiser = torch.optim.Adam(begun, lr=LEARNING_RATE)
    for step in range(steps):
        draw = generator(seed, "rows of autoencoder", step)
        rows = x[torch.randint(len(x), (BATCH,), generator=draw)]
        latents = one.latents(rows)
        error = (latents @ one.decoder + one.centre - rows / scale).square().sum(1).mean()
        (error + price * latents.sum(1).mean()).backward()
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            decoder.copy_(torch.nn.functional.normalize(decoder, dim=1))
    for part in begun:
        part.requires_grad_(False)
    return one


@dataclass(frozen=True)
class OfOneMLP:
    """A model in which one MLP's output can be recorded and replaced.

    Attributes:
        model: a Hugging Face model with `transformer.h[layer].mlp` (GPT-2, GPT-Neo).
        layer: whose MLP.
    """

    model: Any
    layer: int

    @torch.no_grad()
    def outputs(self, text: Sequence[Batch]) -> Float[Tensor, "tokens width"]:
        """The MLP's output at every real token but the first."""
        found: list[Tensor] = []
        for batch in text:
            real = batch.real.clone()
            real[:, 0] = False
            self._loss(batch, lambda x, real=real: found.append(x[real.to(x.device)]) or x)
        return torch.cat(found)

    @torch.no_grad()
    def loss(self, text: Sequence[Batch], change: Any) -> float:  # noqa: ANN401
        """The mean next-token loss with the MLP's output changed."""
        pairs = [self._loss(batch, change) for batch in text]
        return sum(loss for loss, _ in pairs) / sum(count for _, count in pairs)

    def _loss(self, batch: Batch, change: Any) -> tuple[float, int]:  # noqa: ANN401
        tokens = batch.clean.to(self.model.device)
        mlp = self.model.transformer.h[self.layer].mlp
        hook = mlp.register_forward_hook(lambda _module, _inputs, output: change(output))
        try:
            logits = self.model(tokens, use_cache=False).logits
        finally:
            hook.remove()
        real = batch.real.to(tokens.device)[:, 1:]
        losses = torch.nn.functional.cross_entropy(logits[:, :-1][real], tokens[:, 1:][real])
        return losses.item() * int(real.sum()), int(real.sum())


def autoencoder_measures(
    one: OfOneMLP,
    train: Sequence[Batch],
    test: Sequence[Batch],
    expansion: int,
    price: float,
    steps: int,
    seed: int,
) -> dict[str, float]:
    """L0, the mean number of live latents, and the CE score on held-out text.

    The CE score is the share of the loss that ablating the MLP to zero costs which its
    reconstruction brings back.
    """
    autoencoder = train_autoencoder(one.outputs(train), expansion, price, steps, seed)
    live = (autoencoder.latents(one.outputs(test)) > 0).float().sum(1).mean().item()
    clean = one.loss(test, lambda x: x)
    zero = one.loss(test, torch.zeros_like)
    rebuilt = one.loss(test, autoencoder.reconstructed)
    return {"sae_l0": live, "sae_ce_score": (zero - rebuilt) / (zero - clean)}
