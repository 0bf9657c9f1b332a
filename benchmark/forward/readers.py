"""A clean pass that keeps what its readers make of their inputs."""

from jaxtyping import Float, Int
from torch import Tensor

from benchmark.forward.layers import embedded, run
from benchmark.forward.streams import PlainStream
from benchmark.graph.graph import Stage
from benchmark.transformer.kernels import one_per_query_head
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import Norm, Projection


def reader_activations(
    model: Transformer, tokens: Int[Tensor, "batch pos"], read_at: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch vocab"], list[Float[Tensor, "heads 1 batch pos d"]]]:
    """Logits at `read_at`, differentiable in the other result, every reader's activation.

    These are the queries, keys, values (before positions turn them) and the MLP output (with one
    for heads) of each layer, in the order of readers, at every position.
    """
    tokens = tokens.to(model.device)
    stream = _ReaderStream(model, tokens)
    logits = run(model, stream, tokens, read_at, focus_last_layer=False)[0, 0]
    return logits, stream.activations


class _ReaderStream(PlainStream):
    """A residual stream that keeps every query, key, value and MLP output."""

    def __init__(self, model: Transformer, tokens: Tensor) -> None:
        super().__init__(embedded(model, tokens)[None, None].requires_grad_())
        self._n_heads = model.shape.n_heads
        self.activations: list[Tensor] = []

    def project(self, stage: Stage, norm: Norm, *projections: Projection) -> tuple[Tensor, ...]:
        """Keys and values of grouped-query attention come out once per query head."""
        outs = super().project(stage, norm, *projections)
        outs = tuple(one_per_query_head(out, self._n_heads) for out in outs)
        self.activations += outs
        return outs

    def write_mlp(self, layer: int, out: Tensor) -> None:
        """Add the MLP."""
        self.activations.append(out)
        super().write_mlp(layer, out)
