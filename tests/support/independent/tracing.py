"""Restored runs by hooks on the Hugging Face model, one prompt at a time, without any padding.

Shares no code with the engine: a prompt's run is done anew for every set of layers.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.effects.tracing.trace import Restored
from benchmark.forward.layers import embedded
from benchmark.forward.passes import clean_logits
from benchmark.method.problem import Problem


def batch_with_subjects(d_vocab=50, n_prompts=4, n_positions=9, seed=0):
    """Prompts of several lengths whose subjects have one to four tokens at several places."""
    batch = random_batch(d_vocab, n_prompts, n_positions, seed=seed)
    lengths = torch.tensor([n_positions - i % 4 for i in range(n_prompts)])
    start = torch.tensor([1 + i % 3 for i in range(n_prompts)])
    stop = (start + 1 + torch.arange(n_prompts) % 4).minimum(lengths - 1)
    return replace(
        batch, lengths=lengths, read_at=lengths - 1, subject=torch.stack([start, stop], 1)
    )


def noisy_embeddings(model, batch, n_rows=2, seed=0):
    """Residual streams before layer 0 that differ from the clean one at the subjects alone."""
    draw = torch.Generator().manual_seed(seed)
    clean = embedded(model, batch.clean)
    noise = torch.randn(n_rows, *clean.shape, generator=draw, dtype=clean.dtype)
    start, stop = (end[:, None] for end in batch.subject.T)
    positions = torch.arange(batch.n_positions)
    inside = (positions >= start) & (positions < stop)
    return clean + noise * inside[..., None]


class TracingOracle:
    def __init__(self, model):
        hugging_face = model.hugging_face
        self.model = hugging_face
        if hasattr(hugging_face, "transformer"):
            self.blocks = hugging_face.transformer.h
            self.parts = [(block.attn, block.mlp) for block in self.blocks]
        elif hasattr(hugging_face, "gpt_neox"):
            self.blocks = hugging_face.gpt_neox.layers
            self.parts = [(block.attention, block.mlp) for block in self.blocks]
        else:
            body = hugging_face.model
            self.blocks = getattr(body, "language_model", body).layers
            self.parts = [_parts(block) for block in self.blocks]

    def module(self, what, layer):
        if what is Restored.state:
            return self.blocks[layer]
        return self.parts[layer][what is Restored.mlp]

    @contextmanager
    def hooked(self, edits):
        """Edits by module: functions of its output, which they may return changed."""

        def hook(edit):
            def change(module, inputs, output):
                first = output[0] if isinstance(output, tuple) else output
                changed = edit(first)
                return (changed, *output[1:]) if isinstance(output, tuple) else changed

            return change

        with ExitStack() as stack:
            for module, edit in edits:
                stack.enter_context(_removing(module.register_forward_hook(hook(edit))))
            yield

    def run(self, tokens, stream, edits=()):
        """Logits at the last token, from this residual stream before the first block."""

        def enter(module, inputs, named):
            if inputs:
                return (stream[None], *inputs[1:]), named
            return inputs, named | {"hidden_states": stream[None]}

        handle = self.blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
        with torch.no_grad(), _removing(handle), self.hooked(edits):
            return self.model(tokens[None], use_cache=False).logits[0, -1]

    def recorded(self, tokens, stream):
        """The outputs of every block, attention and MLP."""
        found = {}

        def keep(place):
            def edit(output):
                found[place] = output.clone()
                return output

            return edit

        places = [(what, layer) for what in Restored for layer in range(len(self.blocks))]
        self.run(tokens, stream, [(self.module(*place), keep(place)) for place in places])
        return found

    def restored(self, tokens, clean, stream, what, layers, start, stop, severed=None):
        """Logits at the last token with what is restored in these layers, positions start:stop."""
        known, own = self.recorded(tokens, clean), self.recorded(tokens, stream)

        def copied(values):
            def edit(output):
                output = output.clone()
                output[:, start:stop] = values[:, start:stop]
                return output

            return edit

        edits = []
        for layer in range(len(self.blocks)):
            if severed is not None and not (severed is what and layer in layers):
                edits.append((self.module(severed, layer), copied(own[severed, layer])))
            if layer in layers:
                edits.append((self.module(what, layer), copied(known[what, layer])))
        return self.run(tokens, stream, edits)


def _parts(block):
    """What adds to the residual stream: the norms behind attention and MLP, where there are."""
    if hasattr(block, "post_feedforward_layernorm"):
        return block.post_attention_layernorm, block.post_feedforward_layernorm
    return block.self_attn, block.mlp


@contextmanager
def _removing(handle):
    try:
        yield
    finally:
        handle.remove()


def known_batch(model, n_prompts=8, seed=0, **changes):
    """Prompts with subjects whose answers are what the model says."""
    batch = batch_with_subjects(n_prompts=n_prompts, seed=seed, **changes)
    with torch.no_grad():
        said = clean_logits(model, batch.clean, batch.read_at).argsort(-1, descending=True)
    return replace(batch, answers=said[:, :1], wrong=said[:, 1:2])


def tracing_problem(model, ablation="mean", batch=None, work_folder=None, **changes):
    return Problem.of(
        model,
        known_batch(model, 12, seed=1) if batch is None else batch,
        ablation=configured("ablation", ablation, **changes),
        seed=3,
        work_folder=work_folder,
    )
