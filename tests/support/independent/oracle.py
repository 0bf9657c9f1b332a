"""A masked pass by hooks on TransformerLens, sharing no code with the engine.

The bridge runs the clean prompts. Every reader's input is corrected in place by the sum over
absent edges of (ablation value - live value), with live values caught as they are written in
the same run (the published way of circuit evaluation). Values are full residual-stream vectors.
"""

import torch


class Oracle:
    def __init__(self, model):
        self.bridge, self.graph, self.weights = model.bridge, model.graph, model.weights
        config = model.hugging_face.config
        self.groups = model.shape.n_heads // model.shape.n_key_value_heads
        blocks = getattr(getattr(model.hugging_face, "model", None), "layers", [])
        self.post_norms = (
            [(b.post_attention_layernorm.weight, b.post_attention_layernorm.eps) for b in blocks]
            if config.model_type == "gemma2"
            else None
        )

    def head_outputs(self, layer, result):
        """What each head adds to the residual stream, from the per-head results [b, t, h, d]."""
        if self.post_norms is None:
            return result
        weight, eps = self.post_norms[layer]
        total = result.sum(2)
        scale = torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + eps) * (1 + weight)
        return result * scale[:, :, None]

    def cache(self, tokens):
        """Every source's output [src, b, t, d] in a plain run."""
        values = {}
        with torch.no_grad():
            self.bridge.run_with_hooks(tokens, fwd_hooks=self.writers(values))
        return torch.stack([values[name] for name in self.graph.sources])

    def logits(self, tokens, mask, ablated, keep_first):
        """Logits [b, t, vocab] of one mask [src, dst], given ablation values [src, b, t, d]."""
        live = {}

        def correction(destination):
            total = 0
            v = self.graph.destination_index[destination]
            for u, source in enumerate(self.graph.sources):
                if self.graph.exists[u, v]:
                    change = ablated[u] - live[source]
                    if keep_first:
                        change = torch.cat([torch.zeros_like(change[:, :1]), change[:, 1:]], 1)
                    total = total + (1 - mask[u, v]) * change
            return total

        hooks = self.writers(live) + self.readers(correction)
        with torch.no_grad():
            return self.bridge.run_with_hooks(tokens, fwd_hooks=hooks)

    def writers(self, values):
        """Hooks that catch what every source writes."""

        def catch_heads(layer):
            def catch(result, hook):
                for head, out in enumerate(self.head_outputs(layer, result).unbind(2)):
                    values[f"a{layer}.h{head}"] = out

            return catch

        def catch_one(name):
            def catch(tensor, hook):
                values[name] = tensor

            return catch

        hooks = [("blocks.0.hook_resid_pre", catch_one("input"))]
        for layer in range(self.graph.n_layers):
            hooks.append((f"blocks.{layer}.attn.hook_result", catch_heads(layer)))
            hooks.append((f"blocks.{layer}.hook_mlp_out", catch_one(f"m{layer}")))
        return hooks

    def readers(self, correction):
        """Hooks that add to the input of every reader."""

        def edit_heads(layer, kind):
            step = 1 if kind == "q" else self.groups

            def edit(tensor, hook):
                names = [f"a{layer}.h{i * step}<{kind}>" for i in range(tensor.shape[2])]
                return tensor + torch.stack([correction(name) for name in names], 2)

            return edit

        def edit_one(name):
            return lambda tensor, hook: tensor + correction(name)

        last = self.graph.n_layers - 1
        hooks = [(f"blocks.{last}.hook_resid_post", edit_one("logits"))]
        for layer in range(self.graph.n_layers):
            for kind in "qkv":
                name = f"blocks.{layer}.attn.hook_{kind}_input"
                hooks.append((name, edit_heads(layer, kind)))
            hooks.append((f"blocks.{layer}.hook_mlp_in", edit_one(f"m{layer}")))
        return hooks


def written(model, values, rows):
    """Compact source values as residual-stream vectors [src, b, t, d]."""
    out = [values.input[0].expand(*rows, -1)]
    for layer, block in enumerate(model.weights.layers):
        for head in range(model.shape.n_heads):
            z = values.heads[layer, head, 0].expand(*rows, -1)
            out.append(z @ block.attention.W_O[head])
        out.append(values.mlps[layer, 0].expand(*rows, -1))
    return torch.stack(out)
