"""Circuits of a real language model, beside Hugging Face's own modules and hooks in float64."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.independent.hooked import HookedHuggingFace
from support.values import largest
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from benchmark.config import configured
from benchmark.forward.passes import masked_logits
from benchmark.method.problem import Problem
from benchmark.metric import LogitDifference, OverWrong
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split

pytestmark = [pytest.mark.slow, pytest.mark.pretrained]
NEAR = 1e-10
# Shares of the way from the corrupted to the clean embeddings at which gradients are averaged.
SHARES = {"eap": [1.0], "clean_corrupted": [0.0, 1.0], "eap_ig": [0.0, 0.5]}
METRIC = LogitDifference(OverWrong.mean)


@pytest.fixture(scope="module")
def asked():
    """Two pairs of prompts for the model in float64."""
    model = load_model("smollm2-135m-q4", dtype="float64", check=False)
    pairs = configured("task", "ioi").batch(model.tokenizer, Split.train, 2)
    return Problem.of(model, pairs, ablation="counterfactual", metric=METRIC)


def with_keys_of_every_head(model):
    """The same model with a key and a value head for every query head, so that hooks reach each."""
    config, state = deepcopy(model.hugging_face.config), model.hugging_face.state_dict()
    config.num_key_value_heads = model.shape.n_heads
    n_groups, d_head = model.shape.n_key_value_heads, model.shape.d_head
    for name in state:
        if "k_proj" in name or "v_proj" in name:
            heads = state[name].unflatten(0, (n_groups, d_head))
            repeated = heads.repeat_interleave(model.shape.n_heads // n_groups, 0)
            state[name] = repeated.flatten(0, 1)
    whole = LlamaForCausalLM(config).double().eval().requires_grad_(False)
    whole.load_state_dict(state)
    shape = replace(model.shape, n_key_value_heads=model.shape.n_heads)
    return SimpleNamespace(hugging_face=whole, graph=model.graph, shape=shape)


def exact_norm(self, x):
    """Hugging Face's RMSNorm, which works in float32 whatever it is given."""
    return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)


@pytest.fixture(scope="module")
def oracle(asked):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaRMSNorm, "forward", exact_norm)
        yield HookedHuggingFace(with_keys_of_every_head(asked.model))


@pytest.fixture(scope="module")
def written(asked, oracle):
    """What every source writes on clean and on corrupted prompts."""
    (batch,) = asked.batches
    return oracle.cache(batch.clean), oracle.cache(batch.corrupted)


@pytest.mark.parametrize("name", SHARES)
def test_attribution_is_that_of_hooks(asked, oracle, written, name):
    (batch,), (clean, corrupted) = asked.batches, written
    differences = clean - corrupted
    # The first position is never ablated; its token is the same in both prompts.
    differences[:, :, 0] = 0
    expected = 0
    for share in SHARES[name]:
        inputs = clean[0] - (1 - share) * differences[0]
        at_share = oracle.effects(
            batch, lambda logits: METRIC(logits, batch, logits).sum(), differences, inputs
        )
        expected = expected + at_share / len(SHARES[name]) / len(batch)
    changes = {"steps": len(SHARES[name])} if name == "eap_ig" else {}
    found = configured("method", name, **changes).scores(asked).value
    assert float(expected.abs().max()) > 0.1
    assert largest(found, expected) < NEAR * float(expected.abs().max())


def test_circuits_have_the_logits_of_hooks(asked, oracle, written):
    (batch,) = asked.batches
    mask = configured("method", "eap").scores(asked).top(1_232)
    found = masked_logits(asked.model, mask, batch, asked.replacement(batch))
    every = oracle.logits(batch.clean, mask.keep.double(), written[1], keep_first=True)
    expected = every[torch.arange(len(batch)), batch.read_at]
    assert largest(found.reshape(expected.shape), expected) < NEAR * float(expected.abs().max())
