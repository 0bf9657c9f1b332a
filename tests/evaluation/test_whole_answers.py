"""Whole answers against sums of log-softmax over each prompt and answer alone."""

from dataclasses import replace

import pytest
import torch
from support.independent.oracle import Oracle, written
from support.made.held_out import METRICS, circuits
from support.paths import CASES
from support.prompts import random_batch
from support.quick import quick_or_slow
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.evaluation.circuits import HeldOut, circuit_scores, full_model_scores, passes
from benchmark.evaluation.whole_answers import WHOLE_ANSWER, followed
from benchmark.graph.mask import EdgeMask
from benchmark.metric import CrossEntropy
from benchmark.prompts.batch import concatenate
from benchmark.prompts.dataset import batch_of
from benchmark.prompts.task import Split

# Of each prompt: answers of one to three tokens, one or two of them.
WHOLE = [
    [[7, 3, 9], [4, -1, -1]],
    [[11, 2, -1], [-1, -1, -1]],
    [[5, -1, -1], [6, 6, 1]],
    [[30, 31, 32], [33, 34, 35]],
]


@pytest.fixture
def batch():
    """Prompts of several lengths; what stands in their padding is random."""
    whole = torch.tensor(WHOLE)
    return replace(random_batch(), answers=whole[..., 0], whole_answers=whole)


def measured(model, masks, ablation, batch, fit):
    return circuit_scores(model, masks, ablation, HeldOut([fit], [batch], METRICS, True))


def by_brute_force(oracle, batch, mask, ablated_of):
    """Every prompt alone, with each of its answers behind it, in a pass without padding."""
    found = []
    for row, length in enumerate(batch.lengths.tolist()):
        probability = torch.tensor(0.0, dtype=torch.float64)
        for tokens in WHOLE[row]:
            answer = torch.tensor([token for token in tokens if token >= 0], dtype=torch.long)
            if not len(answer):
                continue
            clean, corrupted = (
                torch.cat([prompts[row, :length], answer])[None]
                for prompts in (batch.clean, batch.corrupted)
            )
            logits = oracle.logits(clean, mask, ablated_of(clean, corrupted), keep_first=False)
            said = logits[0, length - 1 : -1].log_softmax(-1)
            probability += said[torch.arange(len(answer)), answer].sum().exp()
        found.append(-probability.log())
    return torch.stack(found)


@pytest.mark.parametrize(
    "name",
    quick_or_slow(["counterfactual", "zero", "mean", "mean_positional"], ["counterfactual"]),
)
def test_it_is_the_sum_over_tokens_of_each_prompt_alone(gpt2, batch, name):
    oracle, fit = Oracle(gpt2), random_batch(n_prompts=8, same_length=True, seed=1)
    ablation = configured("ablation", name, keep_first=False)
    masks = [*circuits(gpt2.graph, 2), EdgeMask.full(gpt2.graph)]
    scores = measured(gpt2, masks, ablation, batch, fit)

    def ablated_of(clean, corrupted):
        if name == "counterfactual":
            return oracle.cache(corrupted)
        alone = random_batch(n_prompts=1, n_positions=clean.shape[1])
        return written(gpt2, ablation.fit(gpt2, [fit])(alone), clean.shape)

    for mask, ours in zip(masks, scores.circuits[WHOLE_ANSWER], strict=True):
        assert largest(ours, by_brute_force(oracle, batch, mask.keep, ablated_of)) < 1e-9
    nothing = EdgeMask.empty(gpt2.graph).keep
    expected = by_brute_force(oracle, batch, nothing, ablated_of)
    assert largest(scores.empty[WHOLE_ANSWER], expected) < 1e-9
    assert largest(scores.full[WHOLE_ANSWER], scores.circuits[WHOLE_ANSWER][-1]) < 1e-9
    assert largest(scores.empty[WHOLE_ANSWER], scores.full[WHOLE_ANSWER]) > 1e-3


@pytest.mark.parametrize("name", ["counterfactual", "resample", "gaussian", "mean", "optimal"])
def test_of_answers_of_one_token_it_is_the_cross_entropy(gpt2, name):
    changes = dict(steps=2, batch_size=4) if name == "optimal" else {}
    ablation, fit = configured("ablation", name, **changes), random_batch(n_prompts=8, seed=1)
    one = random_batch(n_prompts=5)
    one = replace(one, whole_answers=one.answers[..., None])
    held_out = HeldOut([fit], [one], {"cross_entropy": CrossEntropy()}, True)
    scores = circuit_scores(gpt2, circuits(gpt2.graph, 2), ablation, held_out)
    for part in (scores.empty, scores.circuits, scores.full):
        assert torch.equal(part[WHOLE_ANSWER], part["cross_entropy"])


def test_neither_padding_nor_company_changes_it(gpt2, batch):
    ablation, masks = configured("ablation", "mean"), circuits(gpt2.graph, 2)
    ours = measured(gpt2, masks, ablation, batch, batch).circuits[WHOLE_ANSWER]
    alone = [
        measured(gpt2, masks, ablation, part.trimmed(), batch).circuits[WHOLE_ANSWER]
        for part in batch.padded(15, token=3).split(1)
    ]
    assert largest(ours, torch.cat(alone, -1)) < 1e-9


def test_the_answer_stands_where_the_prompt_is_read(batch):
    """Whatever follows the read position is written over, and the last token is left out."""
    early = replace(batch, read_at=batch.read_at - 1)
    longer, reads = followed(early, batch.whole_answers[:, 0])
    for row, at in enumerate(early.read_at.tolist()):
        answer = [token for token in WHOLE[row][0] if token >= 0]
        before = at + len(answer)
        for name in ("clean", "corrupted"):
            expected = [*getattr(batch, name)[row, : at + 1].tolist(), *answer[:-1]]
            assert getattr(longer, name)[row, :before].tolist() == expected
        assert longer.lengths[row] == before
        assert reads[row, : len(answer)].tolist() == list(range(at, before))


def test_whole_answers_follow_their_prompts(batch):
    many = replace(
        random_batch(n_prompts=5, seed=3), ids=tuple("abcde"), answers=torch.full((5, 1), 2)
    )
    joined = concatenate([batch, many])
    assert torch.equal(joined.whole_answers[:4], batch.whole_answers)
    assert joined.whole_answers[4:].tolist() == [[[2, -1, -1], [-1, -1, -1]]] * 5
    assert concatenate([many]).whole_answers is None
    parts = [part.whole_answers for part in passes(joined.padded(20))]
    assert torch.equal(torch.cat(parts), joined.whole_answers)


def test_whole_answers_that_begin_otherwise_are_refused(batch):
    with pytest.raises(UserError, match="must begin with the tokens that are the answers"):
        replace(batch, answers=batch.answers.flip(0))


@pytest.mark.slow
@pytest.mark.pretrained
def test_new_york_city_is_three_tokens(pretrained):
    path = str(CASES / "own_data" / "cities.jsonl")
    task = configured("task", "own_data", data=path, prepend_bos=False)
    rows = task.dataset(pretrained.tokenizer, Split.validation, 3)
    batch, expected = batch_of(rows), []
    for row in rows:
        (answer,) = row["whole_answer_tokens"]
        assert pretrained.tokenizer.decode(answer) == row["answers"][0]
        said = pretrained.hugging_face(torch.tensor([row["clean_tokens"] + answer])).logits
        after = said[0, len(row["clean_tokens"]) - 1 : -1].log_softmax(-1)
        expected.append(-after[torch.arange(len(answer)), answer].sum())
    assert batch.whole_answers.shape[2] >= 3
    held_out = HeldOut([batch], [batch], {"cross_entropy": CrossEntropy()}, whole_answers=True)
    full = full_model_scores(pretrained, held_out)
    assert largest(full[WHOLE_ANSWER], torch.stack(expected)) < 1e-3
    assert bool((full[WHOLE_ANSWER] >= full["cross_entropy"] - 1e-5).all())
    (new_york,) = [n for n, row in enumerate(rows) if row["answers"] == [" New York City"]]
    assert full[WHOLE_ANSWER][new_york] > full["cross_entropy"][new_york] + 0.01
