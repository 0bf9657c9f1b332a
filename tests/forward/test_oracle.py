"""The engine against independent hook-based passes on TransformerLens and on Hugging Face."""

import pytest
import torch
from support.families import FAMILIES, QUICK_FAMILIES
from support.independent.hooked import HookedHuggingFace
from support.independent.oracle import Oracle, written
from support.prompts import random_batch
from support.quick import quick_or_slow
from support.values import largest, random_masks

from benchmark.ablations.optimal import Optimal
from benchmark.config import configured, configured_names
from benchmark.forward.passes import masked_logits, source_values
from benchmark.models.family import family_named

# Families whose bridge of TransformerLens gives every head an input of its own, as it should.
BRIDGED = ("gemma2", "gpt2", "gpt_neox", "llama", "qwen2", "qwen3")


@pytest.fixture(scope="module", params=quick_or_slow(FAMILIES, QUICK_FAMILIES))
def judged(request, models):
    model = models[request.param]
    # Hugging Face's RMSNorm works in float32 inside a float64 model.
    exact = family_named(model.hugging_face.config.model_type).exact_in_float64
    oracle = (Oracle if request.param in BRIDGED else HookedHuggingFace)(model)
    return model, oracle, (1e-9 if exact else 1e-4)


def masks_for(model, n_masks):
    """Random continuous masks; the bridge has one key and value input per group of heads."""
    masks = random_masks(model.graph, n_masks)
    groups = model.shape.n_heads // model.shape.n_key_value_heads
    for layer in range(model.graph.n_layers):
        stage = model.graph.kv_stage(layer)
        for start in range(stage.start, stage.stop, groups):
            masks[..., start : start + groups] = masks[..., start, None]
    return masks


def test_recorded_values_are_the_hooked_ones(judged):
    model, oracle, tolerance = judged
    tokens = random_batch().clean
    ours = written(model, source_values(model, tokens), tokens.shape)
    assert largest(ours, oracle.cache(tokens)) < tolerance


@pytest.mark.parametrize("keep_first", quick_or_slow([False, True], [True]))
@pytest.mark.parametrize("name", configured_names("ablation"))
def test_masked_logits_agree_under_every_ablation(judged, name, keep_first):
    model, oracle, tolerance = judged
    batch = random_batch()
    ablation = configured("ablation", name, keep_first=keep_first)
    replacement = ablation.fit(model, [random_batch(seed=1), random_batch(seed=2)])
    if isinstance(ablation, Optimal):
        replacement.values.heads.add_(torch.randn_like(replacement.values.heads))
    values = replacement(batch)
    masks = masks_for(model, 2)
    ours = masked_logits(model, masks, batch, values, every_position=True)
    ablated = written(model, values, batch.clean.shape)
    for row, mask in enumerate(masks):
        theirs = oracle.logits(batch.clean, mask, ablated, keep_first)
        assert largest(ours[row], theirs) < tolerance


def test_counterfactual_and_means_from_the_oracles_own_cache(judged):
    """The same without our values: the oracle caches and averages its own."""
    model, oracle, tolerance = judged
    batch = random_batch(same_length=True)
    cached = oracle.cache(batch.corrupted)
    pooled = cached[:, :, 1:].mean((1, 2), keepdim=True).expand_as(cached)
    per_position = cached.mean(1, keepdim=True).expand_as(cached)
    for name, ablated in (
        ("counterfactual", cached),
        ("counterfactual_mean", per_position),
        ("mean", pooled),
        ("zero", torch.zeros_like(cached)),
    ):
        changes = dict(counterfactual=True) if name == "mean" else {}
        replacement = configured("ablation", name, **changes).fit(model, [batch])
        mask = masks_for(model, 1)[0]
        ours = masked_logits(model, mask, batch, replacement(batch), every_position=True)
        theirs = oracle.logits(batch.clean, mask, ablated, keep_first=True)
        assert largest(ours, theirs) < tolerance, name
