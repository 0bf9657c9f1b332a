"""Building blocks for transformers whose weights are written by hand, as plain GPT-2 checkpoints.

A *feature* is one direction of the residual stream; nodes read and write features. Two tricks
make GPT-2 exact. Each feature takes two coordinates of opposite sign, so every stream has mean
zero. And LayerNorm divides by sqrt(variance + 2^66) and multiplies by 2^33: with such an epsilon
the variance vanishes in rounding and both factors are powers of two, so the norm changes nothing.
Attention is exact because wrong keys score 1,000 below right ones, and exp(-1000) is 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, PreTrainedTokenizerFast
from transformers.models.gpt2 import GPT2LMHeadModel

from benchmark.pretraining.vocabulary import tokenizer_of

NORM_EXPONENT = 33
CERTAIN = 1000.0

Amounts = Mapping[str, float]


@dataclass(frozen=True)
class Neuron:
    """An MLP neuron: relu(sum of read features + bias), written into features."""

    reads: Amounts
    bias: float
    writes: Amounts


@dataclass(frozen=True)
class Head:
    """An attention head.

    Attributes:
        query: pairs of a feature of the reader and a feature of the read position; each pair that
            both have raises the score to certainty.
        moves: feature of the read position to feature that the head writes with its mean.
    """

    layer: int
    head: int
    query: Sequence[tuple[str, str]]
    moves: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """A transformer as features, tables and nodes.

    Attributes:
        vocabulary: token texts; ids follow their order after BOS and unknown.
        features: names of all features.
        tokens: features that each token writes; BOS is `END`.
        positions: features that each position writes.
        heads: attention heads; all others write nothing.
        neurons: MLP neurons by layer.
        logits: for each token, the features that raise its logit, and by how much.
    """

    vocabulary: Sequence[str]
    features: Sequence[str]
    tokens: Mapping[str, Amounts]
    positions: Sequence[Amounts]
    heads: Sequence[Head]
    neurons: Mapping[int, Sequence[Neuron]]
    logits: Mapping[str, Amounts]
    n_layers: int
    n_heads: int

    def compile(self) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
        """The GPT-2 model in float64, and its tokenizer."""
        cut = pre_tokenizers.WhitespaceSplit()
        tokenizer = tokenizer_of(self.vocabulary, cut, len(self.positions))
        d_mlp = max(len(neurons) for neurons in self.neurons.values())
        model = GPT2LMHeadModel(self._config(len(tokenizer), d_mlp)).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                is_gain = name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
                parameter.fill_(2.0**NORM_EXPONENT if is_gain else 0.0)
            ids = tokenizer.get_vocab()
            for token, amounts in self.tokens.items():
                model.transformer.wte.weight[ids[token]] = self._write(amounts)
            for position, amounts in enumerate(self.positions):
                model.transformer.wpe.weight[position] = self._write(amounts)
            for token, amounts in self.logits.items():
                model.lm_head.weight[ids[token]] = self._read(amounts)
            for head in self.heads:
                self._set_head(model, head)
            for layer, neurons in self.neurons.items():
                block: Any = model.transformer.h[layer]
                self._set_mlp(block.mlp, neurons)
        return model.eval(), tokenizer

    @property
    def d_head(self) -> int:
        """Wide enough for the widest head and, over all heads, for two coordinates a feature."""
        widest = max(max(len(head.query), len(head.moves)) for head in self.heads)
        return max(widest, -(-2 * len(self.features) // self.n_heads))

    def _config(self, d_vocab: int, d_mlp: int) -> GPT2Config:
        return GPT2Config(
            vocab_size=d_vocab,
            n_positions=len(self.positions),
            n_embd=self.d_head * self.n_heads,
            n_layer=self.n_layers,
            n_head=self.n_heads,
            n_inner=d_mlp,
            activation_function="relu",
            layer_norm_epsilon=2.0 ** (2 * NORM_EXPONENT),
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )

    def _write(self, amounts: Amounts) -> Float[Tensor, " d_model"]:
        """The stream in which each feature is present to this amount."""
        stream = torch.zeros(self.d_head * self.n_heads, dtype=torch.float64)
        for feature, amount in amounts.items():
            index = 2 * self.features.index(feature)
            stream[index], stream[index + 1] = amount, -amount
        return stream

    def _read(self, amounts: Amounts) -> Float[Tensor, " d_model"]:
        """The direction whose product with a stream is the weighted sum of its features."""
        return self._write(amounts) / 2

    def _set_head(self, model: GPT2LMHeadModel, head: Head) -> None:
        attention: Any = model.transformer.h[head.layer].attn
        d_model, first = self.d_head * self.n_heads, head.head * self.d_head
        # GPT-2 divides scores by sqrt(d_head).
        certain = CERTAIN * self.d_head**0.5
        for column, (own, other) in enumerate(head.query, start=first):
            attention.c_attn.weight[:, column] = self._read({own: certain})
            attention.c_attn.weight[:, d_model + column] = self._read({other: 1.0})
        for column, (source, target) in enumerate(head.moves.items(), start=first):
            attention.c_attn.weight[:, 2 * d_model + column] = self._read({source: 1.0})
            attention.c_proj.weight[column] = self._write({target: 1.0})

    def _set_mlp(self, mlp: Any, neurons: Sequence[Neuron]) -> None:  # noqa: ANN401
        for index, neuron in enumerate(neurons):
            mlp.c_fc.weight[:, index] = self._read(neuron.reads)
            mlp.c_fc.bias[index] = neuron.bias
            mlp.c_proj.weight[index] = self._write(neuron.writes)
