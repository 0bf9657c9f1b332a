"""A transformer as the forward pass needs it: weights, sizes, precision, device, graph."""

from dataclasses import dataclass
from functools import cached_property

import torch

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.shape import Shape
from benchmark.transformer.weights import Weights, stream_dtype


@dataclass(frozen=True, eq=False)
class Transformer:
    """The part of a language model that computes.

    Attributes:
        weights: its parameters.
        shape: its sizes.
        dtype: precision of the weights.
        device: where they are.
    """

    weights: Weights
    shape: Shape
    dtype: torch.dtype
    device: torch.device

    @cached_property
    def graph(self) -> ComputationalGraph:
        """The canonical graph."""
        return ComputationalGraph.of(self.shape)

    @property
    def stream_dtype(self) -> torch.dtype:
        """Precision of the residual stream, of logits and of scores: at least float32."""
        return stream_dtype(self.dtype)
