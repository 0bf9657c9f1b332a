"""The sizes of a model that its configuration alone determines."""

from dataclasses import dataclass


def number_of_edges(n_layers: int, n_heads: int, parallel: bool) -> int:
    """Edges of the canonical graph; see graph.py."""
    before = [1 + layer * (n_heads + 1) for layer in range(n_layers + 1)]
    own_heads = 0 if parallel else n_heads
    return sum((3 * n_heads + 1) * n + own_heads for n in before[:-1]) + before[-1]


@dataclass(frozen=True)
class Shape:
    """The sizes of a model that its configuration alone determines.

    `parallel` says that attention and MLP of a layer read the same residual stream (GPT-NeoX);
    otherwise the MLP also reads the attention of its own layer.
    """

    n_layers: int
    n_heads: int
    n_key_value_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    n_ctx: int
    parallel: bool
