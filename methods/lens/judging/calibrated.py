"""Calibrated accuracy: how often the right label is likelier than it is for most inputs.

A model that favours one label may know the classes well and yet name that label always. So of
every label the (n - 1) / n quantile of its probability over inputs is taken, n being the number of
labels, and an input counts as right if its own label's probability is above that label's quantile
(Halawi et al. 2023, arXiv 2307.09476, section 2). A tie counts 1 / n, so chance is 1 / n.
"""

from jaxtyping import Float, Int
from torch import Tensor

# Added to each label's probability, as the authors do.
SMALLEST = 1e-14


def of_labels(
    log_p: Float[Tensor, "*rows vocab"], labels: Int[Tensor, " labels"]
) -> Float[Tensor, "*rows labels"]:
    """The probabilities of the labels alone, which add up to 1."""
    p = log_p[..., labels].double().exp() + SMALLEST
    return p / p.sum(-1, keepdim=True)


def calibrated(
    p: Float[Tensor, "*rows inputs labels"], right: Int[Tensor, " inputs"]
) -> Float[Tensor, "*rows inputs"]:
    """1 where the right label is above its quantile over the inputs, 1 / n at it, 0 below.

    Args:
        p: probabilities of the labels.
        right: the number of each input's label.
    """
    n_labels = p.shape[-1]
    quantile = p.quantile((n_labels - 1) / n_labels, dim=-2)
    index = right.expand(p.shape[:-1])[..., None]
    own = p.gather(-1, index)[..., 0]
    threshold = quantile[..., None, :].expand_as(p).gather(-1, index)[..., 0]
    return (own > threshold).double() + (own == threshold).double() / n_labels
