"""The clean stream is Hugging Face's model; the ablated one ablates each position by itself."""

import torch

from benchmark.pretraining.self_ablation.streams import ablated_stream, clean_stream

# Hugging Face takes the products of queries and keys in float32.
ROUNDING = 2e-5


def test_the_clean_stream_is_the_model_with_its_windows(neo, tokens):
    stream = clean_stream(neo, tokens)
    theirs = neo(tokens, output_hidden_states=True, use_cache=False)
    assert torch.allclose(neo.lm_head(stream.final), theirs.logits, rtol=0, atol=1e-12)
    for mine, its in zip(stream.states[:-1], theirs.hidden_states[:-1], strict=True):
        assert torch.allclose(mine, its, rtol=0, atol=1e-12)


def test_masks_of_ones_give_the_clean_stream(neo, tokens, masks):
    clean = clean_stream(neo, tokens)
    ones = [tuple(map(torch.ones_like, layer)) for layer in masks]
    ablated = ablated_stream(neo, clean, ones)
    for mine, its in zip(
        [*ablated.states, ablated.final], [*clean.states[1:], clean.final], strict=True
    ):
        assert torch.allclose(mine, its, atol=ROUNDING)


def test_masks_at_other_positions_change_nothing(neo, tokens, masks):
    clean = clean_stream(neo, tokens)
    whole = ablated_stream(neo, clean, masks).final
    for place in (0, 4, 10):
        others = [tuple(map(torch.ones_like, layer)) for layer in masks]
        for layer, layer_masks in zip(others, masks, strict=True):
            for changed, mask in zip(layer, layer_masks, strict=True):
                changed[:, place] = mask[:, place]
        alone = ablated_stream(neo, clean, others).final
        assert torch.equal(alone[:, place], whole[:, place])
        assert not torch.allclose(whole[:, place], clean.final[:, place], atol=0.01)


def test_each_position_is_the_model_with_hooks_that_mask_it_alone(neo, tokens, masks):
    found = neo.lm_head(ablated_stream(neo, clean_stream(neo, tokens), masks).final)
    for place in (1, 6, 10):
        hooks = []
        for block, layer_masks in zip(neo.transformer.h, masks, strict=True):
            parts = (block.attn.attention.out_proj, block.mlp.c_proj)
            for part, mask in zip(parts, layer_masks, strict=True):

                def masked(_, inputs, mask=mask, place=place):
                    values = inputs[0].clone()
                    values[:, place] *= mask[:, place]
                    return (values,)

                hooks.append(part.register_forward_pre_hook(masked))
        theirs = neo(tokens, use_cache=False).logits
        for hook in hooks:
            hook.remove()
        assert torch.allclose(found[:, place], theirs[:, place], atol=ROUNDING)


def test_units_are_what_the_output_projections_read(neo, tokens):
    read = []
    for block in neo.transformer.h:
        for part in (block.attn.attention.out_proj, block.mlp.c_proj):
            part.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    neo(tokens, use_cache=False)
    theirs = list(read)
    mine = [values for units in clean_stream(neo, tokens).units for values in units]
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)
