"""Continuing a pass from a later layer: exact, and refused where it does not belong."""

import pytest
import torch
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks, random_values

from benchmark.errors import UserError
from benchmark.forward.passes import masked_logits, masked_prefix
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model

EXACT = 1e-12


@pytest.mark.parametrize("start_layer", [1, 2, 3])
def test_prefix_reuse_equals_the_whole_pass(start_layer, tmp_path):
    for family in ("gpt2", "gpt_neox", "gemma2"):
        config = random_config(family, n_layers=3)
        model = load_model(save_random_model(tmp_path / family, config), dtype="float64")
        batch = random_batch()
        masks = random_masks(model.graph, 3)
        before = model.graph.qkv_stage(start_layer).start
        masks[..., :before] = masks[:1, :, :before]
        for values in (random_values(model, (1, 1, 1)), counterfactual(model, batch)):
            prefix = masked_prefix(model, masks[0], batch, values)
            whole, reused = masks.clone().requires_grad_(), masks.clone().requires_grad_()
            expected = masked_logits(model, whole, batch, values)
            again = masked_logits(
                model, reused, batch, values, start_layer=start_layer, prefix=prefix
            )
            assert largest(again, expected) < EXACT
            expected.square().sum().backward()
            again.square().sum().backward()
            assert largest(reused.grad[..., before:], whole.grad[..., before:]) < 1e-9


def test_a_prefix_notices_changes_in_place(gpt2):
    batch = random_batch()
    mask = random_masks(gpt2.graph, 1)[0]
    values = random_values(gpt2, (1, 1, 1))
    prefix = masked_prefix(gpt2, mask, batch, values)
    again = dict(start_layer=1, prefix=prefix)
    kept = mask.clone()
    mask[:, 0] = 0
    with pytest.raises(UserError, match="differ from the prefix's"):
        masked_logits(gpt2, mask, batch, values, **again)
    masked_logits(gpt2, kept, batch, values, **again)
    values.mlps.mul_(2)
    with pytest.raises(UserError, match="ablation values"):
        masked_logits(gpt2, kept, batch, values, **again)


def test_node_prefix_reuse(gpt2):
    batch = random_batch()
    values = counterfactual(gpt2, batch)
    nodes = torch.rand(2, gpt2.graph.n_sources, 1, dtype=torch.float64)
    shared = gpt2.graph.mlp_stage(0).n_sources
    nodes[:, :shared] = nodes[:1, :shared]
    prefix = masked_prefix(gpt2, nodes[0], batch, values)
    again = masked_logits(gpt2, nodes, batch, values, start_layer=1, prefix=prefix)
    assert largest(again, masked_logits(gpt2, nodes, batch, values)) < EXACT


def test_prefix_takes_one_mask(gpt2):
    with pytest.raises(UserError, match="one mask; 2 were given"):
        masked_prefix(
            gpt2, random_masks(gpt2.graph, 2), random_batch(), random_values(gpt2, (1, 1, 1))
        )
