"""The sizes of a model that its configuration alone determines."""

from dataclasses import dataclass


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
