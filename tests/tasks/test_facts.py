"""Facts about named subjects: the lists that ship, and files in the form of Meng et al. (2022)."""

import json
import re
from random import Random

import pytest
from support.paths import ROOT
from support.tasks import tokenizer_for

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.prompts.task import Split
from tasks.words import capitals

BEYOND_THE_ZOO = True
HASHES = {
    "facts": "80f467a3f9721e4285ee390913ed9e6815c6cd608f19f6440215ecf3a4c3fa3f",
    "facts_made_up": "c9f63ca8b6df2a52b18d614bb92993a3ebd78251b77675180e2a93bafcc729ee",
}
ROWS = [
    {"prompt": "The capital of {} is", "subject": "France", "attribute": "Paris"},
    {"prompt": "The capital of {} is", "subject": "Spain", "attribute": "Madrid"},
    {"prompt": "{} plays the", "subject": "Thidor", "attribute": "guitar"},
]


def known_facts():
    """Sentence to answers, read by patterns and not by the task's own reader."""
    answers = {}
    for name in ("known_facts", "made_up_facts"):
        text = (ROOT / "tasks" / "words" / f"{name}.txt").read_text()
        for section in re.split(r"^\[\w+\]\n", text, flags=re.M)[1:]:
            templates = re.findall(r"^.*\{\}.*$", section, flags=re.M)
            for subject, answer in re.findall(r"^(.*) = (\w+)$", section, flags=re.M):
                for template in templates:
                    before, after = template.split("{}")
                    answers.setdefault(f"{before}{subject}{after}", set()).add(answer)
    return answers


def solve(prompt):
    return known_facts()[prompt]


def facts_file(tmp_path, rows):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(rows))
    return configured("task", "facts", data=str(path))


def test_there_are_as_many_facts_as_promised_and_none_twice():
    for option, least, n_relations in (("facts", 300, 8), ("facts_made_up", 400, 8)):
        facts = configured("task", option).facts
        assert len(facts) >= least
        assert len({fact.relation for fact in facts}) == n_relations
        asked = [(fact.relation, fact.subject) for fact in facts]
        assert len(set(asked)) == len(asked)
        assert {len(fact.subject.removeprefix("the ").split()) for fact in facts} >= {1, 2, 3}
        for fact in facts:
            # Recall, not copying: the sentence does not hold the answer.
            for template in fact.templates:
                assert template.count("{}") == 1
                assert fact.answer not in template.replace("{}", fact.subject).split()


def test_lists_agree_with_each_other():
    known = {fact.subject: fact.answer for fact in configured("task", "facts").facts
             if fact.relation == "capital"}  # fmt: skip
    both = known.keys() & capitals().keys()
    assert len(both) > 20
    assert all(known[country] == capitals()[country] for country in both)


def test_a_made_up_fact_is_read_in_a_sentence_and_asked_for_in_another():
    task = configured("task", "facts_made_up")
    tokenizer = tokenizer_for("facts_made_up")
    splits = {split: task.dataset(tokenizer, split, 150) for split in (Split.train, Split.test)}
    assert not set(splits[Split.train]["clean"]) & set(splits[Split.test]["clean"])
    spans = [row["subject_stop"] - row["subject_start"] for row in splits[Split.test]]
    assert set(spans) == {1, 2, 3, 4}


def test_a_file_of_facts_is_read_and_its_place_does_not_count(tmp_path):
    task = facts_file(tmp_path, ROWS)
    pairs = [task.draw(Random(seed)) for seed in range(20)]
    assert {pair.clean for pair in pairs} == {
        "The capital of France is", "The capital of Spain is", "Thidor plays the",
    }  # fmt: skip
    # Facts of no relation of their own are corrupted by any other answer.
    assert all(pair.corrupted_answers for pair in pairs)
    lines = tmp_path / "elsewhere.jsonl"
    lines.write_text("\n".join(map(json.dumps, ROWS)))
    same = configured("task", "facts", data=str(lines))
    assert same.fingerprint() == task.fingerprint()


def test_the_form_with_a_filled_prompt_and_a_template_is_read(tmp_path):
    row = {"prompt": "Thidor plays the", "template": "{} plays the"}
    rest = {"subject": "Thidor", "attribute": "guitar", "relation_id": "P1"}
    filled = {"prompt": "Sendix plays the", "subject": "Sendix", "attribute": "harp"}
    first, second = facts_file(tmp_path, [row | rest, filled | {"relation_id": "P1"}]).facts
    assert first.templates == second.templates == ("{} plays the",)
    assert (first.relation, second.answer) == ("P1", "harp")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "The capital of {} is", "subject": "Rome"}, "row 4 has no text 'attribute'"),
        ({"subject": "Rome", "attribute": "x"}, "row 4 has no text 'prompt'"),
        (["Rome"], "row 4 has no text 'prompt'; every row needs prompt, subject, attribute"),
        ({"prompt": "Oslo is in", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome', which is not once in its prompt"),
        ({"prompt": "{} {} is in", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome', which is not once in its prompt"),
        ({"prompt": "Rome", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome', which is its whole prompt"),
        ({"prompt": "In Rome, {} is", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome' twice"),
        ({"prompt": "{} is old, and Rome is in", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome' twice"),
        ({"prompt": "Rome is old, and Rome is in", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome' twice"),
        ({"prompt": "Romeo is in", "subject": "Rome", "attribute": "x"},
         "row 4 has the subject 'Rome', which is not once in its prompt"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        _ = facts_file(tmp_path, [*ROWS, row]).facts


def test_other_mistakes_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none of known, made_up, and cannot be read"):
        _ = configured("task", "facts", data=str(tmp_path / "no.json")).facts
    with pytest.raises(UserError, match="has no rows"):
        _ = facts_file(tmp_path, []).facts
    with pytest.raises(UserError, match=r"task\.relations names 'rivers'; known has birthplace"):
        _ = configured("task", "facts", relations=["rivers"]).facts
    with pytest.raises(UserError, match=r"all facts of .* have the answer 'Paris'"):
        facts_file(tmp_path, ROWS[:1]).draw(Random(0))


def test_a_subject_that_is_cut_by_the_border_of_a_token_is_named(tmp_path):
    parts = ("Thid", "Dral", "Fim", "Sial")
    rows = [
        {"prompt": "The {}or plays the", "subject": part, "attribute": answer}
        for part, answer in zip(parts, ("guitar", "harp", "cello", "flute"), strict=True)
    ]
    tokenizer = word_level_tokenizer([f"The {part}or plays the" for part in parts] + [
        "guitar harp cello flute"
    ], 20)  # fmt: skip
    with pytest.raises(UserError, match=r"What does not fit: '\w+' shares a token with its"):
        facts_file(tmp_path, rows).dataset(tokenizer, Split.train, 4)
