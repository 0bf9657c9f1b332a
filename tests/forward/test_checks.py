"""What meets in a masked pass is checked, converted where that is harmless, else refused."""

from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks, random_values

from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits, masked_prefix, source_values
from benchmark.forward.values import zero_values
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.models.loading import load_model


def test_values_changed_after_recording_count_as_changed(gpt2):
    """A recorded pass knows what heads add together; a change to a head must not go unnoticed."""
    batch = random_batch()
    full = EdgeMask.full(gpt2.graph)
    clean = clean_logits(gpt2, batch.clean, batch.read_at)
    recorded = counterfactual(gpt2, batch)
    assert recorded.heads_together(0) is not None
    replaced = replace(recorded, heads=recorded.heads * 2)
    assert largest(masked_logits(gpt2, full, batch, replaced), clean) < 1e-10
    recorded.heads.mul_(2)
    assert recorded.heads_together(0) is None
    assert largest(masked_logits(gpt2, full, batch, recorded), clean) < 1e-10


def bad_inputs(model):
    batch = random_batch()
    values = random_values(model, (1, 1, 1))
    mask = EdgeMask.full(model.graph)
    other = EdgeMask.full(ComputationalGraph(1, 4))
    prefix = masked_prefix(model, mask, batch, values)
    at_start = replace(batch, read_at=torch.zeros_like(batch.read_at))
    learned = values.map(lambda x: x.clone().requires_grad_())
    empty = EdgeMask.empty(model.graph)
    same = dict(values=values, start_layer=1, prefix=prefix)
    deeper = replace(model.shape, n_layers=3)
    return [
        ("another graph", dict(mask=other)),
        ("an edge mask has", dict(mask=torch.ones(3, 3))),
        ("an edge mask has", dict(mask=torch.ones(model.graph.n_sources))),
        ("an edge mask has", dict(mask=mask.keep[None][:0])),
        ("another shape", dict(values=zero_values(deeper, keep_first=True))),
        ("do not fit", dict(values=random_values(model, (1, 3, 1)))),
        ("do not fit", dict(values=random_values(model, (2, 1, 1)))),
        ("read at position 0", dict(batch=at_start)),
        ("needs a prefix", dict(start_layer=1)),
        ("must lie in 1..2", dict(start_layer=3, prefix=prefix)),
        ("differ from the prefix's", dict(same, mask=empty)),
        ("other prompts", dict(same, batch=random_batch(seed=1))),
        ("other prompts or ablation values", dict(same, values=replace(values, keep_first=False))),
        ("another model", dict(same, model=replace(model, weights=replace(model.weights)))),
        ("need start_layer=0", dict(same, values=learned)),
    ]


@pytest.mark.parametrize("case", range(15))
def test_inputs_that_do_not_fit_are_refused(gpt2, case):
    message, change = bad_inputs(gpt2)[case]
    arguments = dict(
        mask=EdgeMask.full(gpt2.graph), batch=random_batch(), values=random_values(gpt2, (1, 1, 1))
    )
    with pytest.raises(UserError, match=message):
        masked_logits(**{"model": gpt2, **arguments, **change})


def test_prompts_that_the_model_cannot_read_are_refused(model):
    with pytest.raises(UserError, match="33 tokens do not fit the model's context of 32"):
        clean_logits(model, random_batch(n_positions=33).clean)
    with pytest.raises(UserError, match=r"not all among the model's 0\.\.49"):
        source_values(model, torch.tensor([[1, 50]]))
    with pytest.raises(UserError, match="use the model's own tokenizer"):
        source_values(model, torch.tensor([[1, -1]]))


def test_values_of_another_precision_are_converted(gpt2, model_directories):
    """And the leaves still get their gradient."""
    model = load_model(model_directories["gpt2"])
    batch = random_batch()
    leaves = random_values(gpt2, (1, 1, 1)).map(lambda x: x.requires_grad_())
    masks = random_masks(gpt2.graph, 1)
    logits = masked_logits(model, masks, batch, leaves)
    assert logits.dtype == torch.float32
    assert largest(logits, masked_logits(gpt2, masks, batch, leaves)) < 1e-3
    logits.sum().backward()
    assert leaves.heads.grad.dtype == torch.float64
