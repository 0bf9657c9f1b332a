"""How sparse weights and activations are, by several measures that disagree.

Mean |w| is what Ferrao et al. (2025) call sparsity (larger is less sparse); their number counts
embeddings too. Hoyer's measure, (sqrt(n) - |x|_1 / |x|_2) / (sqrt(n) - 1), is 0 if all n values
are alike in size and 1 if one alone is not 0 (Hoyer 2004).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.stats import kurtosis
from torch import Tensor

from benchmark.effects.nodes.patching import run_of_sites
from benchmark.prompts.batch import Batch
from benchmark.transformer.sites import Site
from benchmark.transformer.transformer import Transformer

# So many of a neuron's largest activations tell what it is about.
N_TOP = 20


def mean_sizes_of_weights(hugging_face: Any) -> dict[str, float]:  # noqa: ANN401
    """Mean |w| over all parameters, and without the embeddings of tokens and positions."""
    found = {}
    embeddings = (torch.nn.Embedding,)
    inside = {
        id(parameter)
        for module in hugging_face.modules()
        if isinstance(module, embeddings)
        for parameter in module.parameters()
    }
    every = list(hugging_face.parameters())
    for name, some in (
        ("mean_weight", every),
        ("mean_weight_without_embeddings", [p for p in every if id(p) not in inside]),
    ):
        total = sum(float(p.detach().abs().double().sum()) for p in some)
        found[name] = total / sum(p.numel() for p in some)
    return found


@torch.no_grad()
def neurons_of(
    model: Transformer, text: Sequence[Batch]
) -> tuple[Float[Tensor, "layers tokens neurons"], Int[Tensor, " tokens"]]:
    """The activation of every neuron at every real token but the first, and the tokens."""
    parts, tokens = [], []
    for batch in text:
        clean = batch.clean.to(model.device)
        values, *_ = run_of_sites(model, clean)
        real = batch.real.to(model.device).clone()
        real[:, 0] = False
        parts.append(torch.stack([layer[Site.neuron][0, 0][real] for layer in values.layers]))
        tokens.append(clean[real])
    return torch.cat(parts, 1).float().cpu(), torch.cat(tokens).cpu()


def hoyer(values: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows"]:
    """Hoyer's measure of each row; 1 of a row of zeros."""
    root = values.shape[-1] ** 0.5
    norm = values.norm(dim=-1)
    ratio = torch.where(norm > 0, values.abs().sum(-1) / norm.clamp(min=1e-30), 1.0)
    return (root - ratio) / (root - 1)


def kurtosis_over_tokens(neurons: Float[Tensor, "layers tokens neurons"]) -> float:
    """The median over neurons of the fourth standardised moment: 3 of a normal distribution.

    A neuron that never changes has none, and is left out.
    """
    moments = kurtosis(neurons.double().numpy(), axis=1, fisher=False)
    return torch.from_numpy(moments).nanmedian().item()


def kinds_of_top_tokens(
    neurons: Float[Tensor, "layers tokens neurons"], tokens: Int[Tensor, " tokens"]
) -> float:
    """How many different tokens are among a neuron's largest activations, as a mean over neurons.

    Few mean a specialised neuron; see `N_TOP` for how many activations are looked at.
    """
    top = neurons.topk(min(N_TOP, neurons.shape[1]), dim=1).indices
    found = tokens[top].transpose(1, 2).flatten(0, 1)
    return sum(len(row.unique()) for row in found) / len(found)


def activation_measures(model: Transformer, text: Sequence[Batch]) -> dict[str, float]:
    """Hoyer's measure and kurtosis of neurons over tokens and over neurons, specialisation."""
    neurons, tokens = neurons_of(model, text)
    over_neurons = neurons.flatten(0, 1)
    return {
        "hoyer": hoyer(over_neurons).mean().item(),
        "kurtosis": kurtosis_over_tokens(neurons),
        "kinds_of_top_tokens": kinds_of_top_tokens(neurons, tokens),
    }
