"""Exact identities of the masked forward pass, for every family, in float64."""

from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks, random_values
from transformers import AutoModelForCausalLM

from benchmark.forward.passes import clean_logits, clean_run, masked_logits, source_values
from benchmark.forward.values import zero_values
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.graph.scores import EdgeScores
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config
from benchmark.prompts.batch import concatenate

EXACT = 1e-12


@pytest.mark.parametrize("keep_first", [False, True])
def test_all_edges_kept_is_the_clean_model(model, keep_first):
    batch = random_batch()
    values = random_values(model, (1, 1, 1), keep_first=keep_first)
    full = EdgeMask.full(model.graph)
    assert largest(
        masked_logits(model, full, batch, values),
        clean_logits(model, batch.clean, batch.read_at),
    ) < 1e-10  # fmt: skip
    everywhere = masked_logits(model, full, batch, values, every_position=True)
    assert largest(everywhere, clean_logits(model, batch.clean)) < 1e-10


@pytest.mark.parametrize("keep_first", [False, True])
def test_no_edge_kept_under_counterfactual_is_the_corrupted_run(model, keep_first):
    batch = random_batch(first_token=7 if keep_first else None)
    empty = EdgeMask.empty(model.graph)
    logits = masked_logits(model, empty, batch, counterfactual(model, batch, keep_first))
    corrupted, recorded = clean_run(model, batch.corrupted, batch.read_at)
    assert largest(logits, corrupted) < EXACT
    assert largest(recorded.heads, source_values(model, batch.corrupted).heads) == 0


def test_no_edge_kept_under_a_total_ablation_forgets_the_prompt(model):
    batch = random_batch(first_token=7)
    logits = masked_logits(
        model, EdgeMask.empty(model.graph), batch, random_values(model, (1, 1, 1))
    )
    assert largest(logits, logits[:1].expand_as(logits)) < EXACT


def test_zero_constants_are_zero_ablation(model):
    batch = random_batch()
    masks = random_masks(model.graph, 2)
    zeros = zero_values(model.shape, keep_first=True)
    per_position = random_values(model, (2, 1, 8)).map(torch.zeros_like)
    assert largest(
        masked_logits(model, masks, batch, zeros), masked_logits(model, masks, batch, per_position)
    ) < EXACT  # fmt: skip


def test_values_of_any_axes_agree_with_their_expanded_form(model):
    batch = random_batch()
    masks = random_masks(model.graph, 3)
    full = 3, len(batch), batch.n_positions
    for axes in [(1, 1, 1), (3, 1, 1), (1, 4, 1), (1, 1, 8), (3, 4, 1), (1, 4, 8), (3, 1, 8)]:
        values = random_values(model, axes)
        expanded = values.map(lambda x: x.expand(*x.shape[:-4], *full, -1).clone())
        assert largest(
            masked_logits(model, masks, batch, values),
            masked_logits(model, masks, batch, expanded),
        ) < EXACT  # fmt: skip


def test_masks_do_not_leak_into_each_other(model):
    batch = random_batch()
    masks = random_masks(model.graph, 4)
    values = random_values(model, (4, 1, 1))
    together = masked_logits(model, masks, batch, values)
    for row in range(4):
        own = values.map(lambda x, row=row: x[..., row : row + 1, :, :, :])
        assert largest(together[row], masked_logits(model, masks[row], batch, own)) < EXACT


def test_prompts_do_not_leak_into_each_other(model):
    batch = random_batch()
    masks = random_masks(model.graph, 2)
    together = masked_logits(model, masks, batch, counterfactual(model, batch))
    for prompt, alone in enumerate(batch.split(1)):
        logits = masked_logits(model, masks, alone, counterfactual(model, alone))
        assert largest(together[:, prompt], logits[:, 0]) < EXACT


def test_padding_changes_nothing(model):
    batch = random_batch()
    masks = random_masks(model.graph, 2)
    longer = batch.padded(12, token=3)
    for values_of in (
        lambda b: counterfactual(model, b, keep_first=True),
        lambda b: random_values(model, (1, 1, 1)),
    ):
        short, long = (masked_logits(model, masks, b, values_of(b)) for b in (batch, longer))
        assert largest(short, long) < EXACT
    assert largest(masked_logits(model, masks, longer.trimmed(), values_of(batch)), short) < EXACT


def test_read_positions_agree_with_every_position(model):
    batch = random_batch()
    masks = random_masks(model.graph, 2)
    values = counterfactual(model, batch)
    everywhere = masked_logits(model, masks, batch, values, every_position=True)
    at_reads = everywhere[:, torch.arange(len(batch)), batch.read_at]
    assert largest(at_reads, masked_logits(model, masks, batch, values)) < EXACT


def test_kept_first_position_is_untouched_and_matters(model):
    batch = random_batch()
    masks = random_masks(model.graph, 2, binary=True)
    values = random_values(model, (1, 1, 1), keep_first=True)
    everywhere = masked_logits(model, masks, batch, values, every_position=True)
    clean = clean_logits(model, batch.clean)
    assert largest(everywhere[:, :, 0], clean[:, 0].expand_as(everywhere[:, :, 0])) < EXACT
    ablated = masked_logits(model, masks, batch, replace(values, keep_first=False))
    assert largest(ablated, masked_logits(model, masks, batch, values)) > 1e-3


def test_node_masks_are_edge_masks_with_one_value_per_source(model):
    batch = random_batch()
    nodes = torch.rand(3, model.graph.n_sources, dtype=torch.float64)
    for values in (random_values(model, (3, 1, 1)), counterfactual(model, batch)):
        as_edges = nodes[..., None] * model.graph.exists
        assert largest(
            masked_logits(model, nodes[..., None], batch, values),
            masked_logits(model, as_edges, batch, values),
        ) < EXACT  # fmt: skip
    one = EdgeMask.of_components(model.graph, nodes[0])
    assert largest(
        masked_logits(model, one, batch, values),
        masked_logits(model, nodes[:1, :, None], batch, values)[0],
    ) < EXACT  # fmt: skip


def test_node_mask_gradient_is_the_sum_over_its_edges(model):
    batch = random_batch()
    values = counterfactual(model, batch)
    nodes = torch.rand(2, model.graph.n_sources, 1, dtype=torch.float64, requires_grad=True)
    edges = (nodes.detach() * model.graph.exists).requires_grad_()
    masked_logits(model, nodes, batch, values).square().sum().backward()
    masked_logits(model, edges, batch, values).square().sum().backward()
    assert largest(nodes.grad, edges.grad.sum(-1, keepdim=True)) < 1e-9


def test_ablating_one_head_everywhere_is_removing_it_from_the_model(gpt2, model_directories):
    """Zero ablation of a head, done by hand on the Hugging Face weights."""
    batch = random_batch()
    keep = torch.ones(gpt2.graph.n_sources, dtype=torch.float64)
    keep[gpt2.graph.source_index["a0.h2"]] = 0
    by_hand = AutoModelForCausalLM.from_pretrained(
        model_directories["gpt2"], dtype=torch.float64
    ).eval()
    with torch.no_grad():
        by_hand.transformer.h[0].attn.c_proj.weight[2 * 8 : 3 * 8] = 0
        expected = by_hand(batch.clean).logits[torch.arange(len(batch)), batch.read_at]
    zeros = zero_values(gpt2.shape, keep_first=False)
    mask = EdgeMask.of_components(gpt2.graph, keep)
    assert largest(masked_logits(gpt2, mask, batch, zeros), expected) < EXACT


def test_grouped_attention_equals_its_ungrouped_form(models, tmp_path):
    grouped = models["llama"]
    config = random_config("llama")
    config.num_key_value_heads = config.num_attention_heads
    wide = AutoModelForCausalLM.from_config(config)
    tensors = dict(grouped.hugging_face.state_dict())
    d_head = grouped.shape.d_head
    for name, tensor in tensors.items():
        if "k_proj" in name or "v_proj" in name:
            heads = tensor.view(-1, d_head, tensor.shape[-1])
            tensors[name] = heads.repeat_interleave(2, dim=0).reshape(-1, tensor.shape[-1])
    wide.double().load_state_dict(tensors)
    wide.save_pretrained(tmp_path)
    ungrouped = load_model(tmp_path, dtype="float64")
    assert ungrouped.shape.n_key_value_heads == 2 * grouped.shape.n_key_value_heads
    batch = random_batch()
    masks = random_masks(grouped.graph, 3)
    results = []
    for model in (grouped, ungrouped):
        rows = masks.clone().requires_grad_()
        logits = masked_logits(model, rows, batch, counterfactual(model, batch))
        logits.square().sum().backward()
        results.append((logits.detach(), rows.grad))
    assert largest(results[0][0], results[1][0]) < EXACT
    assert largest(results[0][1], results[1][1]) < 1e-10


def test_parallel_blocks_leave_out_attention_to_own_mlp(models):
    parallel = models["gpt_neox"].graph
    assert parallel == ComputationalGraph(2, 4, parallel=True)
    assert models["gpt2"].graph.n_edges - parallel.n_edges == 2 * 4


def test_inference_mode_works(gpt2):
    batch = random_batch()
    with torch.inference_mode():
        values = counterfactual(gpt2, batch)
        logits = masked_logits(gpt2, EdgeMask.full(gpt2.graph), batch, values)
    assert largest(logits, clean_logits(gpt2, batch.clean, batch.read_at)) < 1e-10


def test_pruning_dead_ends_is_exact_and_pruning_unfed_nodes_is_not(gpt2):
    """The rule of `Pruning`: which of its two forms changes logits, and under what."""
    batch = random_batch(n_prompts=6)
    scores = torch.rand(gpt2.graph.exists.shape, generator=torch.Generator().manual_seed(1))
    mask = EdgeScores(gpt2.graph, scores, signed=True).top(18)
    dead_ends, dangling = mask.pruned(Pruning.dead_ends), mask.pruned(Pruning.dangling)
    assert mask.size > dead_ends.size > dangling.size > 0
    pairs = {
        "zero": zero_values(gpt2.shape, keep_first=False),
        "constants": random_values(gpt2, (1, 1, 1), keep_first=False),
        "counterfactual": counterfactual(gpt2, batch),
    }
    for name, values in pairs.items():
        before = masked_logits(gpt2, mask, batch, values)
        assert largest(masked_logits(gpt2, dead_ends, batch, values), before) < EXACT
        moved = largest(masked_logits(gpt2, dangling, batch, values), before)
        assert (moved < EXACT) if name == "counterfactual" else (moved > 1e-2)
    kept_first = counterfactual(gpt2, batch, keep_first=True)
    shared = random_batch(n_prompts=6, first_token=3)
    for prompts, values, neutral in (
        (batch, kept_first, False),
        (shared, counterfactual(gpt2, shared, keep_first=True), True),
    ):
        before, after = (masked_logits(gpt2, m, prompts, values) for m in (mask, dangling))
        assert (largest(before, after) < EXACT) is neutral


def test_a_second_backward_pass_starts_afresh(gpt2):
    masks = random_masks(gpt2.graph, 2).requires_grad_()
    loss = masked_logits(gpt2, masks, random_batch(), random_values(gpt2, (1, 1, 1))).sum()
    first = torch.autograd.grad(loss, masks, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(loss, masks)[0])


def test_memory_is_released_without_the_garbage_collector(gpt2):
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        masks = random_masks(gpt2.graph, 2).requires_grad_()
        logits = masked_logits(gpt2, masks, random_batch(), random_values(gpt2, (1, 1, 1)))
        node = logits.grad_fn
        seen, queue, mixtures = set(), [node], []
        while queue:
            fn = queue.pop()
            if fn is None or fn in seen:
                continue
            seen.add(fn)
            if hasattr(fn, "mixture"):
                mixtures.append(weakref.ref(fn.mixture))
            queue += [parent for parent, _ in fn.next_functions]
        assert mixtures
        del logits, node, seen, queue, fn
        assert all(mixture() is None for mixture in mixtures)
    finally:
        gc.enable()


def test_batches_of_any_size_give_the_same(model):
    batches = [random_batch(seed=seed) for seed in range(3)]
    whole = concatenate(batches)
    mask = EdgeMask(model.graph, random_masks(model.graph, 1)[0])
    values = random_values(model, (1, 1, 1))
    parts = [masked_logits(model, mask, batch, values) for batch in batches]
    assert largest(masked_logits(model, mask, whole, values), torch.cat(parts)) < EXACT


@pytest.mark.parametrize("keep_first", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_what_a_fixed_circuit_leaves_out_changes_nothing(model, share, keep_first):
    """Beside masks that learn, of which everything is mixed and run."""
    batch = random_batch()
    masks = (random_masks(model.graph, 2) > 1 - share).double() * model.graph.exists
    values = counterfactual(model, batch, keep_first)
    for every_position in (False, True):
        few, whole = (
            masked_logits(model, given, batch, values, every_position=every_position)
            for given in (masks, masks.clone().requires_grad_())
        )
        assert largest(few, whole) < 1e-11
