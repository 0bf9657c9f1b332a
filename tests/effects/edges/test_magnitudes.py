"""Edge AtP against EAP edge by edge, prompt by prompt, position by position, and by brute force."""

from dataclasses import replace

import pytest
import torch
from support.problems import training_problem
from support.prompts import random_batch
from support.values import counterfactual, largest

from benchmark.config import configured
from benchmark.effects.edges.first_order import CleanRun, effects_at_clean
from benchmark.effects.edges.magnitudes import (
    PositionMagnitudes,
    PromptMagnitudes,
    query_key_magnitudes,
)
from benchmark.effects.half_layers import output_gradients, recorded_pass
from benchmark.forward.layers import positions_of
from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.metric import LogitDifference, OverWrong
from benchmark.transformer import blocks
from benchmark.transformer.kernels import project_heads

METRIC = LogitDifference(OverWrong.mean)


def test_magnitudes_of_prompts_are_those_of_eap_prompt_by_prompt(model):
    batch = random_batch(n_prompts=3)
    found = effects_at_clean(model, batch, counterfactual(model, batch), METRIC, PromptMagnitudes)
    total = 0
    for one in batch.split(1):
        total = total + effects_at_clean(model, one, counterfactual(model, one), METRIC).edges.abs()
    assert largest(found.edges, total) < 1e-12


def test_magnitudes_of_positions_are_those_of_eap_position_by_position(model):
    (batch,) = random_batch(n_prompts=1, n_positions=5, same_length=True).split(1)
    values, live = counterfactual(model, batch), source_values(model, batch.clean)
    found = effects_at_clean(model, batch, values, METRIC, PositionMagnitudes)
    total = 0
    for position in range(5):
        here = (torch.arange(5) == position)[:, None]
        pairs = zip(values.tensors, live.tensors, strict=True)
        mixed = SourceValues(*(torch.where(here, x, y) for x, y in pairs), keep_first=False)
        total = total + effects_at_clean(model, batch, mixed, METRIC).edges.abs()
    assert largest(found.edges, total) < 1e-12


@pytest.mark.parametrize("together", [False, True])
def test_queries_and_keys_of_each_source_by_brute_force(model, together):
    batch = random_batch(n_prompts=2, n_positions=5, same_length=True)
    clean = CleanRun.of(model, batch, counterfactual(model, batch))
    passed = recorded_pass(model, batch, METRIC)
    gradients = dict(output_gradients(model, passed))
    layer, n_heads = 1, model.shape.n_heads
    readers = query_key_magnitudes(model, clean, METRIC, positions_together=together)
    found = {stage.start: of_stage for stage, of_stage in readers}[
        model.graph.qkv_stage(layer).start
    ]
    x = passed.halves[2 * layer].x.detach()
    for source in (0, 2, len(found) - 1):
        difference = clean.differences.everywhere[source]
        for kind in range(2):
            wanted = torch.zeros(n_heads, len(batch), dtype=torch.double)
            for where in [range(5)] if together else [[t] for t in range(5)]:
                moved = torch.zeros_like(difference)
                moved[:, list(where)] = difference[:, list(where)]
                wanted += effect(model, batch, layer, x, x - moved, kind, gradients[layer]).abs()
            got = found[source, kind * n_heads : (kind + 1) * n_heads]
            assert largest(got, wanted.sum(1)) < 1e-10


def effect(model, batch, layer, x, changed, kind, gradient):
    """What the new query (kind 0) or key (1) of each head by itself does to all heads' outputs."""
    block, positions = model.weights.layers[layer].attention, positions_of(model, batch.clean)
    n_heads, plain = model.shape.n_heads, replace(block, post_norm_eps=None)

    def projected(x):
        parts = project_heads(block.norm(x), *block.projections)
        return [part.repeat_interleave(n_heads // len(part), 0) for part in parts]

    before = blocks.attention(plain, *projected(x), positions)
    found = []
    for head in range(n_heads):
        inputs = projected(x)
        inputs[kind][head] = projected(changed)[kind][head]
        after = blocks.attention(plain, *inputs, positions)
        found.append(((after - before) * gradient)[:, 0].sum((0, -1, -2)))
    return torch.stack(found)


def test_without_the_fix_one_prompt_at_all_positions_is_eap(gpt2):
    problem = training_problem(gpt2)
    problem = replace(problem, batches=problem.batches[0].split(1)[:1])
    plain = configured("method", "edge_atp", fix_softmax=False, positions="all").scores(problem)
    eap = configured("method", "eap").scores(problem)
    assert largest(plain.value, eap.value.abs()) < 1e-12 and not plain.signed
    fixed = configured("method", "edge_atp", positions="all").scores(problem)
    into_queries_and_keys = torch.tensor(
        [name.endswith(("<q>", "<k>")) for name in gpt2.graph.destinations]
    )
    same = torch.isclose(fixed.value, plain.value, rtol=0, atol=1e-12)
    assert bool(same[:, ~into_queries_and_keys].all())
    assert not bool(same[:, into_queries_and_keys].all())


def test_the_batch_size_changes_nothing(gpt2):
    problem = training_problem(gpt2)
    scores = [
        configured("method", "edge_atp", batch_size=size).scores(problem).value for size in (3, 12)
    ]
    assert largest(*scores) < 1e-12
