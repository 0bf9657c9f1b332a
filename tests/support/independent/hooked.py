"""A masked pass by hooks on Hugging Face's own modules, sharing no code with the engine.

For families that TransformerLens's bridge does not split by head. Every head's projection is
computed anew from the residual stream at the block's entry plus that reader's correction: the sum
over absent edges of (ablation value - live value), as in oracle.py.
"""

from contextlib import ExitStack
from types import SimpleNamespace

import torch
from torch.nn.functional import linear


class HookedHuggingFace:
    def __init__(self, model):
        self.model, self.graph, self.shape = model.hugging_face, model.graph, model.shape
        whole = getattr(self.model, "transformer", None) or self.model.model
        body = getattr(whole, "language_model", whole)
        self.final_norm = getattr(body, "ln_f", None) or body.norm
        self.blocks = [parts(block) for block in getattr(body, "h", None) or body.layers]

    @torch.no_grad()
    def cache(self, tokens):
        """Every source's output [src, b, t, d] in a plain run."""
        values = self.run(tokens, lambda *_: 0)[1]
        return torch.stack([values[name] for name in self.graph.sources])

    @torch.no_grad()
    def logits(self, tokens, mask, ablated, keep_first):
        """Logits [b, t, vocab] of one mask [src, dst], given ablation values [src, b, t, d]."""

        def correction(destination, live):
            total = 0
            v = self.graph.destination_index[destination]
            for u, source in enumerate(self.graph.sources):
                if self.graph.exists[u, v]:
                    change = ablated[u] - live[source]
                    if keep_first:
                        change = torch.cat([torch.zeros_like(change[:, :1]), change[:, 1:]], 1)
                    total = total + (1 - mask[u, v]) * change
            return total

        return self.run(tokens, correction)[0]

    def effects(self, batch, objective, differences, inputs=None):
        """First-order effects [src, dst], summed over prompts, of ablating every edge.

        Args:
            batch: the pairs; the clean prompts are run.
            objective: from logits [b, vocab] at the positions that are read, to a number.
            differences: live minus ablation values [src, b, t, d].
            inputs: embeddings to run on instead, or None.
        """
        added = {}

        def leaf(destination, _):
            shape = *batch.clean.shape, differences.shape[-1]
            added[destination] = torch.zeros(shape, dtype=differences.dtype, requires_grad=True)
            return added[destination]

        logits = self.run(batch.clean, leaf, inputs)[0]
        total = objective(logits[torch.arange(len(batch)), batch.read_at])
        leaves = [added[name] for name in self.graph.destinations]
        gradients = torch.stack(torch.autograd.grad(total, leaves))
        return torch.einsum("ubtd,vbtd->uv", differences, gradients) * self.graph.exists

    def run(self, tokens, correction, inputs=None):
        """Logits and live values with the corrections made; `inputs` are embeddings to run on."""
        live = {}
        with ExitStack() as hooks:
            for layer, block in enumerate(self.blocks):
                for handle in self.hook(layer, block, live, correction):
                    hooks.callback(handle.remove)
            last = self.final_norm.register_forward_pre_hook(
                lambda _, x: (x[0] + correction("logits", live),)
            )
            hooks.callback(last.remove)
            given = {"input_ids": tokens} if inputs is None else {"inputs_embeds": inputs}
            return self.model(**given, use_cache=False).logits, live

    def hook(self, layer, block, live, correction):
        """Hooks on one block, that read for every reader and catch what every source writes."""
        stream = {}

        def enter(_, arguments):
            stream["x"] = arguments[0]
            if layer == 0:
                live["input"] = arguments[0]

        def projected(module, _, out):
            rows = out.shape[-1] // self.shape.d_head
            parts = []
            for row, name in zip(range(rows), self.readers(layer, block, module), strict=True):
                x = block.norm(stream["x"] + correction(name, live))
                part = slice(row * self.shape.d_head, (row + 1) * self.shape.d_head)
                bias = None if module.bias is None else module.bias[part]
                parts.append(linear(x, module.weight[part], bias))
            return torch.cat(parts, -1)

        def heads_written(module, arguments):
            z = arguments[0].unflatten(-1, (self.shape.n_heads, self.shape.d_head))
            W = module.weight.unflatten(-1, (self.shape.n_heads, self.shape.d_head))
            each = torch.einsum("bthe,dhe->bthd", z, W)
            total = each.sum(2)
            gain = 1 if block.post is None else block.post(total) / total
            for head in range(self.shape.n_heads):
                live[f"a{layer}.h{head}"] = each[:, :, head] * gain

        return [
            block.whole.register_forward_pre_hook(enter),
            *(module.register_forward_hook(projected) for module in block.projections),
            block.out.register_forward_pre_hook(heads_written),
            block.mlp_in.register_forward_pre_hook(
                lambda _, x: (x[0] + correction(f"m{layer}", live),)
            ),
            block.mlp_out.register_forward_hook(lambda _, __, out: live.update({f"m{layer}": out})),
        ]

    def readers(self, layer, block, module):
        """The reader of each head's rows of a projection; of a group, its first head's."""
        every = range(self.shape.n_heads)
        first = every[:: self.shape.n_heads // self.shape.n_key_value_heads]
        kinds = "qkv" if len(block.projections) == 1 else "qkv"[block.projections.index(module)]
        return [f"a{layer}.h{h}<{k}>" for k in kinds for h in (every if k == "q" else first)]


def parts(block):
    """The modules of a block, by their roles."""
    attention = block.self_attn if hasattr(block, "self_attn") else block.attn.attention
    separate = [getattr(attention, f"{kind}_proj", None) for kind in "qkv"]
    projections = [attention.qkv_proj] if separate[0] is None else separate
    norms = dict(block.named_children())
    norm = norms.get("input_layernorm", norms.get("ln_1", lambda x: x))
    post = norms.get("post_attention_layernorm") if "post_feedforward_layernorm" in norms else None
    before_mlp = "post_attention_layernorm" if post is None else "pre_feedforward_layernorm"
    return SimpleNamespace(
        whole=block,
        projections=projections,
        norm=norm,
        out=getattr(attention, "o_proj", None) or attention.out_proj,
        post=post,
        mlp_in=norms.get(before_mlp, norms.get("ln_2", block.mlp)),
        mlp_out=norms.get("post_feedforward_layernorm", block.mlp),
    )
