"""Exact effects: what the objective loses when one edge, or one source, is ablated by itself.

With a single edge ablated only its reader sees anything new at first; behind the reader all
readers share one residual stream again, so the rest is the plain forward pass. Rows of a pass are
ablated edges into one layer; what lies before it is computed once. The last layer runs at the
read positions alone. Activation patching as in Hanna et al. (2024, arXiv 2403.17806, "EActP").
"""

from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.edges.first_order import CleanRun
from benchmark.forward.layers import embedded, positions_of, run, run_layers, unembedded
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.streams import PlainStream
from benchmark.forward.values import at_positions
from benchmark.graph.graph import Stage
from benchmark.meter import count_passes
from benchmark.metric import Objective
from benchmark.transformer import blocks
from benchmark.transformer.kernels import each_head_alone, one_per_query_head, project_heads
from benchmark.transformer.transformer import Transformer

Rows = Float[Tensor, "1 rows batch pos d_model"]


@torch.no_grad()
def exact_edge_effects(
    model: Transformer, clean: CleanRun, objective: Objective
) -> Float[Tensor, "src dst"]:
    """The summed objective of the clean prompts minus that with each edge ablated by itself."""
    effects = clean.logits.new_zeros(model.graph.exists.shape)
    layers, final = _layers(model, clean, objective)
    for layer in layers:
        for stage in (layer.qkv_stage, layer.mlp_stage):
            effects[: stage.n_sources, stage.destinations] = layer.edges_into(stage)
    at_once = rows_that_fit(model, *clean.batch.clean.shape, with_gradient=False)
    lost = [
        _lost(clean, objective, _logits(model, final - differences))
        for differences in clean.differences.at_reads.split(at_once)
    ]
    effects[:, model.graph.logits_stage().start] = torch.cat(lost)
    return effects


@torch.no_grad()
def exact_source_effects(
    model: Transformer, clean: CleanRun, objective: Objective
) -> Float[Tensor, " src"]:
    """The summed objective of the clean prompts minus that with all edges of a source ablated."""
    layers, _ = _layers(model, clean, objective)
    return torch.cat([layers[0].input(), *(layer.sources() for layer in layers)])


def _layers(
    model: Transformer, clean: CleanRun, objective: Objective
) -> tuple[list["_Layer"], Rows]:
    """Every layer at the clean point, and the final residual stream at the read positions."""
    before: list[Tensor] = []
    stream = PlainStream(embedded(model, clean.batch.clean)[None, None])
    positions, reads = positions_of(model, clean.batch.clean), clean.batch.read_at[:, None]
    run_layers(model, stream, positions, 0, reads, lambda _: before.append(stream.x))
    count_passes(stream.x, len(clean.batch))
    layers = [_Layer(model, clean, objective, i, x) for i, x in enumerate(before)]
    return layers, stream.x


class _Layer:
    """One layer of the clean pass, with parts of it changed row by row.

    The last layer keeps the read positions only, but for the inputs of keys and values.
    """

    def __init__(
        self, model: Transformer, clean: CleanRun, objective: Objective, index: int, x: Rows
    ) -> None:
        self._model, self._clean, self._objective = model, clean, objective
        self._index, self._layer, self._x = index, model.weights.layers[index], x
        self._last = index == model.shape.n_layers - 1
        self._reads = clean.batch.read_at[:, None]
        self._positions = positions_of(model, clean.batch.clean)
        if self._last:
            self._positions.focus(self._reads)
        # Heads before a post-norm: it mixes them, so it is applied row by row.
        self._block = replace(self._layer.attention, post_norm_eps=None)
        self.qkv_stage, self.mlp_stage = model.graph.qkv_stage(index), model.graph.mlp_stage(index)

    def edges_into(self, stage: Stage) -> Float[Tensor, "src dst"]:
        """Effects of all edges into this layer's heads, or into its MLP."""
        into_heads = stage == self.qkv_stage
        at_once = self._rows_at_once // (self._model.shape.n_heads if into_heads else 1)
        change = self._edges_into_heads if into_heads else self._edges_into_mlp
        chunks = torch.arange(stage.n_sources).split(max(1, at_once))
        return torch.cat([change(slice(int(c[0]), int(c[-1]) + 1)) for c in chunks])

    def sources(self) -> Float[Tensor, " src"]:
        """Effects of this layer's heads and its MLP."""
        graph, differences = self._model.graph, self._differences
        mlp = graph.mlp_source(self._index)
        heads = self._mid - differences[graph.head_source(self._index) : mlp][None]
        mlp_alone = self._out - differences[mlp]
        return torch.cat([self._passed_on(self._with_mlp(heads)), self._passed_on(mlp_alone)])

    def input(self) -> Float[Tensor, "1"]:
        """The effect of the input; only of layer 0."""
        x = self._x - self._clean.differences.everywhere[0]
        tokens, read_at = self._clean.batch.clean, self._clean.batch.read_at
        return self._lost(run(self._model, PlainStream(x), tokens, read_at)[0])

    def _edges_into_heads(self, sources: slice) -> Float[Tensor, "src dst"]:
        found = []
        for letter, projection in enumerate(self._block.projections):
            focused = letter == 0 and self._last
            differences = self._clean.differences.of_stage(self.qkv_stage, focused)[sources]
            x = (at_positions(self._x, self._reads) if focused else self._x) - differences
            (changed,) = project_heads(self._block.norm(x), projection)
            # Values are not normalised; queries and keys may be, those of all heads jointly.
            joint, n_heads = self._block.joint and letter < 2, self._model.shape.n_heads
            inputs = list(self._qkv)
            inputs[letter] = each_head_alone(inputs[letter], changed, n_heads) if joint else changed
            if joint:
                inputs = [one_per_query_head(i, n_heads) for i in inputs]
            inputs = [i.expand(-1, inputs[letter].shape[1], -1, -1, -1) for i in inputs]
            z = blocks.attention(self._block, *inputs, self._positions)
            lost = self._passed_on(self._with_mlp(self._mid + self._change(z, joint)))
            found.append(lost.view(-1, n_heads) if joint else lost.view(n_heads, -1).T)
        return torch.cat(found, 1)

    def _edges_into_mlp(self, sources: slice) -> Float[Tensor, "src dst"]:
        changed = blocks.mlp(self._layer.mlp, self._mlp_in - self._differences[sources])
        return self._passed_on(self._out + changed - self._mlp_out)[:, None]

    def _with_mlp(self, mid: Rows) -> Rows:
        """What a residual stream behind the heads becomes behind the MLP."""
        parallel = self._model.graph.parallel
        return mid + (self._mlp_out if parallel else blocks.mlp(self._layer.mlp, mid))

    def _passed_on(self, x: Rows) -> Float[Tensor, " rows"]:
        """The objective lost with this behind the layer."""
        n_rows, share = x.shape[1], 1 / self._model.shape.n_layers
        count_passes(x, n_rows * len(self._clean.batch), share)
        if self._last:
            return self._lost(_logits(self._model, x))
        tokens, read_at = self._clean.batch.clean, self._clean.batch.read_at
        start = self._index + 1
        return self._lost(run(self._model, PlainStream(x), tokens, read_at, start_layer=start)[0])

    def _lost(self, logits: Tensor) -> Float[Tensor, " rows"]:
        return _lost(self._clean, self._objective, logits)

    def _change(self, z: Tensor, together: bool) -> Rows:
        """What the attention block writes with activations changed, minus the clean.

        Those of all heads `together`, or of each head alone: then rows are heads x rows.
        """
        change = z - self._z

        def written(W_O: Tensor) -> Tensor:
            if together:
                return blocks.write_heads(change, W_O)[None]
            each = torch.bmm(change.flatten(1, 3).to(W_O.dtype), W_O)
            return each.view(1, -1, *z.shape[2:-1], each.shape[-1]).to(z.dtype)

        eps, before = self._layer.attention.post_norm_eps, self._block.W_O_before_norm
        if eps is None or before is None:
            return written(self._block.W_O)

        def normed(raw: Tensor, out: Tensor) -> Tensor:
            return out * torch.rsqrt(raw.square().mean(-1, keepdim=True) + eps)

        raw, out = (blocks.write_heads(self._z, W)[None] for W in (before, self._block.W_O))
        return normed(raw + written(before), out + written(self._block.W_O)) - normed(raw, out)

    @property
    def _rows_at_once(self) -> int:
        return rows_that_fit(self._model, *self._clean.batch.clean.shape, with_gradient=False)

    @property
    def _differences(self) -> Tensor:
        return self._clean.differences.at(self._last)

    @cached_property
    def _qkv(self) -> tuple[Tensor, Tensor, Tensor]:
        to_q, to_k, to_v = self._block.projections
        x = self._block.norm(self._x)
        (q,) = project_heads(at_positions(x, self._reads) if self._last else x, to_q)
        k, v = project_heads(x, to_k, to_v)
        return q, k, v

    @cached_property
    def _z(self) -> Float[Tensor, "heads 1 batch pos d_head"]:
        return blocks.attention(self._block, *self._qkv, self._positions)

    @cached_property
    def _mid(self) -> Rows:
        """The clean residual stream behind the heads."""
        whole = blocks.attention(self._layer.attention, *self._qkv, self._positions)
        stream = PlainStream(at_positions(self._x, self._reads) if self._last else self._x)
        stream.write_heads(self._index, whole, self._layer.attention)
        return stream.read(self.mlp_stage)

    @cached_property
    def _mlp_in(self) -> Rows:
        x = at_positions(self._x, self._reads) if self._last else self._x
        return x if self._model.graph.parallel else self._mid

    @cached_property
    def _mlp_out(self) -> Rows:
        return blocks.mlp(self._layer.mlp, self._mlp_in)

    @cached_property
    def _out(self) -> Rows:
        return self._mid + self._mlp_out


def _logits(model: Transformer, x: Rows) -> Float[Tensor, "rows batch vocab"]:
    return unembedded(model, x)[0].squeeze(-2)


def _lost(clean: CleanRun, objective: Objective, logits: Tensor) -> Float[Tensor, " rows"]:
    """The summed objective of the clean prompts minus that of each row."""
    before = objective(clean.logits, clean.batch, clean.logits).sum()
    return before - objective(logits, clean.batch, clean.logits).sum(-1)
