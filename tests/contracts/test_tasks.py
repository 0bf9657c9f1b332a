"""Every task: aligned pairs, right answers by an independent reading, splits that share nothing."""

import pytest
from support.tasks import MARKED_OPTIONS, known, tokenizer_for

from benchmark.config import configured
from benchmark.prompts.dataset import batch_of, data_hash
from benchmark.prompts.task import Split, Task


@pytest.mark.slow
@pytest.mark.parametrize("option", MARKED_OPTIONS)
def test_answers_are_right_and_corruption_flips_or_destroys_them(option):
    task = configured("task", option)
    assert isinstance(task, Task)
    rows = task.dataset(tokenizer_for(option), Split.train, 40, or_fewer=True)
    solve = known(task.family).solve
    for row in rows:
        answers, wrong = ({text.strip() for text in row[key]} for key in ("answers", "wrong"))
        assert solve(row["clean"]) == answers
        assert not answers & wrong
        assert wrong
        on_corrupted = solve(row["corrupted"])
        if row["corrupted_answers"]:
            assert on_corrupted == {text.strip() for text in row["corrupted_answers"]}
        else:
            assert len(on_corrupted) != 1
        # Greater-than's corrupted prompt rules nothing out; all others exclude the clean answer.
        if task.family != "greater_than" and on_corrupted:
            assert on_corrupted != answers


@pytest.mark.parametrize("option", MARKED_OPTIONS)
def test_pairs_align_and_answers_continue_their_prompts(option):
    tokenizer = tokenizer_for(option)
    rows = configured("task", option).dataset(tokenizer, Split.test, 30, or_fewer=True)
    for row in rows:
        clean, corrupted = row["clean_tokens"], row["corrupted_tokens"]
        assert len(clean) == len(corrupted)
        assert clean != corrupted
        assert tokenizer.unk_token_id not in clean + corrupted + row["answer_tokens"]
        start = [tokenizer.bos_token_id] if configured("task", option).prepend_bos else []
        for answer, token in zip(row["answers"], row["answer_tokens"], strict=True):
            whole = tokenizer.encode(row["clean"] + answer, add_special_tokens=False)
            assert start + whole[: len(whole) - 1] == clean
            assert whole[-1] == token
        span = clean[row["subject_start"] : row["subject_stop"]]
        assert span == tokenizer.encode(row["subject"], add_special_tokens=False)
        assert bool(span) == bool(row["subject"])
    batch = batch_of(rows)
    assert batch.read_at.tolist() == [len(tokens) - 1 for tokens in rows["clean_tokens"]]
    spans = [[row["subject_start"], row["subject_stop"]] for row in rows]
    subjects = None if batch.subject is None else batch.subject.tolist()
    assert subjects == (spans if any(rows["subject"]) else None)


@pytest.mark.slow
@pytest.mark.parametrize("option", MARKED_OPTIONS)
def test_splits_share_no_prompt_whatever_the_seed(option):
    task, tokenizer = configured("task", option), tokenizer_for(option)
    texts = {}
    for seed, split in enumerate(Split):
        rows = task.dataset(tokenizer, split, 25, seed, or_fewer=True)
        assert len(set(rows["id"])) == len(set(rows["clean"])) == len(rows)
        texts[split] = {*rows["clean"], *rows["corrupted"]}
    assert not texts[Split.train] & texts[Split.validation]
    assert not texts[Split.train] & texts[Split.test]
    assert not texts[Split.validation] & texts[Split.test]


@pytest.mark.parametrize("option", MARKED_OPTIONS)
def test_data_are_the_same_on_every_platform_and_in_every_version(option):
    task = configured("task", option)
    rows = task.dataset(tokenizer_for(option), Split.validation, 40, or_fewer=True)
    assert data_hash(rows) == known(task.family).HASHES[option]
