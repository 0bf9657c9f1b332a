"""One's own prompts, from JSONL, CSV and saved splits."""

import csv
import json
import re

import pytest
from support.paths import CASES

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.tokenizer import load_tokenizer
from benchmark.prompts.task import Split
from benchmark.zoo.cards import zoo_directory

ROWS = [
    {
        "clean": f"{a} and {b} sang. {b} gave a ring to",
        "corrupted": f"{a} and {b} sang. {a} gave a ring to",
        "answers": f" {a}",
        "wrong": f" {b}",
        "subject": b,
    }
    for a in ("Mary", "Lisa", "Sarah", "Laura", "Emily", "Megan")
    for b in ("John", "Paul", "Mark", "Adam", "Eric", "Brian")
]


@pytest.fixture
def tokenizer():
    # "sang" is unknown to the zoo's tokenizer, so rows say "went".
    return load_tokenizer(str(zoo_directory("toy_gpt2")), None, 100_000)


def known(row):
    return {key: value.replace(" sang.", " went.") for key, value in row.items()}


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_rows_become_prompts_in_splits_that_share_none(tmp_path, tokenizer, suffix):
    rows = [known(row) for row in ROWS]
    task = configured("task", "own_data", data=write(tmp_path / f"mine{suffix}", rows))
    found = {split: task.dataset(tokenizer, split, 100, or_fewer=True).to_list() for split in Split}
    texts = {row["clean"]: row for row in rows}
    for prompts in found.values():
        for prompt in prompts:
            assert prompt["answers"] == [texts[prompt["clean"]]["answers"]]
    listed = [prompt["clean"] for prompts in found.values() for prompt in prompts]
    assert sorted(listed) == sorted(texts)
    few = task.dataset(tokenizer, Split.train, 3, seed=1)
    assert few["id"] != task.dataset(tokenizer, Split.train, 3, seed=2)["id"]
    batch = task.batch(tokenizer, Split.train, 3, seed=1)
    assert batch.ids == tuple(few["id"])


def test_a_split_column_and_lists_of_answers_are_obeyed(tmp_path, tokenizer):
    rows = [known(row) | {"split": "test", "answers": [" Mary", " Lisa"]} for row in ROWS[12:20]]
    rows += [known(row) | {"split": "train", "answers": [" Mary", " Lisa"]} for row in ROWS[24:30]]
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", rows))
    assert len(task.dataset(tokenizer, Split.test, 8)) == 8
    assert len(task.dataset(tokenizer, Split.train, 6)["answer_tokens"][0]) == 2
    with pytest.raises(UserError, match="has 0 validation prompts"):
        task.dataset(tokenizer, Split.validation, 1)


def test_rows_that_share_a_prompt_are_in_one_split(tmp_path, tokenizer):
    rows = [known(row) | {"corrupted": known(ROWS[0])["corrupted"]} for row in ROWS[1:9]]
    rows += [known(row) for row in ROWS[12:24]]
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", rows))
    sizes = []
    for split in Split:
        prompts = [pair.clean for pair in task.pairs(split, 0)]
        sizes.append(len(prompts))
        together = {row["clean"] for row in rows[:8]}
        assert together <= set(prompts) or not together & set(prompts)
    assert sum(sizes) == 20


def test_numbers_keep_their_space(tmp_path, tokenizer):
    row = {"clean": "12 plus 7 equals", "corrupted": "13 plus 7 equals"}
    row |= {"answers": " 19", "wrong": " 20", "split": "test"}
    task = configured("task", "own_data", data=write(tmp_path / "mine.csv", [row]))
    assert task.dataset(tokenizer, Split.test, 1)["answers"][0] == [" 19"]


def test_unrelated_texts_of_one_length_serve(tmp_path, tokenizer):
    row = {"clean": "When Mary and John went to the store, John gave a ring", "answers": " to"}
    row |= {"corrupted": "The keys to the cabinet near the door and the window near the"}
    row |= {"wrong": " table", "corrupted_answers": " table", "split": "train"}
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", [row]))
    batch = task.batch(tokenizer, Split.train, 1)
    for tokens, text in ((batch.clean, row["clean"]), (batch.corrupted, row["corrupted"])):
        assert tokens[0, 1:].tolist() == tokenizer.encode(text, add_special_tokens=False)


def test_texts_of_as_many_words_must_align_word_by_word(tmp_path, tokenizer):
    row = {"clean": "Then, Mary went to", "corrupted": "Then Mary went, to", "split": "train"}
    row |= {"answers": " the", "wrong": " a"}
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", [row]))
    with pytest.raises(UserError, match="'Then,' is not of as many tokens as 'Then'"):
        task.dataset(tokenizer, Split.train, 1)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_subject_gives_its_positions_in_the_batch(tmp_path, tokenizer, suffix):
    row = {"clean": "When Mary and John went to the store, John gave a ring", "answers": " to"}
    row |= {"corrupted": "When Mary and Paul went to the store, Paul gave a ring", "wrong": " a"}
    rows = [
        row | {"subject": subject, "split": "test"} for subject in ("Mary and John", "", "ring")
    ]
    rows[1] |= {"clean": row["corrupted"], "corrupted": row["clean"]}
    rows[2] = {key: value.replace("store", "school") for key, value in rows[2].items()}
    task = configured("task", "own_data", data=write(tmp_path / f"mine{suffix}", rows))
    found = task.dataset(tokenizer, Split.test, 3)
    batch = task.batch(tokenizer, Split.test, 3)
    expected = {"Mary and John": (2, 5), "": (0, 0), "ring": (13, 14)}  # 0 is the BOS token
    assert [tuple(span) for span in batch.subject.tolist()] == [
        expected[text] for text in found["subject"]
    ]
    for tokens, (start, stop), subject in zip(
        batch.clean, batch.subject.tolist(), found["subject"], strict=True
    ):
        assert tokenizer.decode(tokens[start:stop]).strip() == subject


def test_changed_files_are_read_again(tmp_path, tokenizer):
    path = tmp_path / "mine.jsonl"
    rows = [known(row) | {"split": "test"} for row in ROWS[:5]]
    task = configured("task", "own_data", data=write(path, rows[:3]))
    assert len(task.dataset(tokenizer, Split.test, 9, or_fewer=True)) == 3
    task = configured("task", "own_data", data=write(path, rows))
    assert len(task.dataset(tokenizer, Split.test, 9, or_fewer=True)) == 5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"clean": "a", "corrupted": "b", "answers": "c"}], "has no field 'wrong'"),
        ([known(ROWS[0]) | {"split": "dev"}], "row with split 'dev'; write train, validation"),
        (
            [known(ROWS[0]) | {"split": "train"}, known(ROWS[0]) | {"split": "test"}],
            "in more than one split",
        ),
        ([ROWS[0] | {"split": "test"}], "What does not fit: 'sang.' is unknown"),
        ([ROWS[0] | {"clean": None}], "row 1 has no 'clean'"),
        ([ROWS[0], ROWS[1] | {"answers": []}], "row 2 has no 'answers'"),
        ([ROWS[0] | {"subject": "Zoe"}], "row 1 has the subject 'Zoe', which is not in its 'cl"),
    ],
)
def test_mistakes_in_the_data_are_named(tmp_path, tokenizer, rows, message):
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", rows))
    with pytest.raises(UserError, match=message):
        task.dataset(tokenizer, Split.test, 1)


@pytest.mark.parametrize("data", ["missing.jsonl", "no-such/dataset"])
def test_data_that_cannot_be_read_are_one_error(data, tokenizer):
    with pytest.raises(UserError, match=f"task.data='{data}' cannot be read as .jsonl"):
        configured("task", "own_data", data=data).dataset(tokenizer, Split.test, 1)


def test_several_corruptions_of_one_prompt_are_kept_and_repeats_are_counted(tmp_path, tokenizer):
    rows = [
        known(ROWS[0]) | {"corrupted": known(row)["corrupted"], "split": "test", "subject": ""}
        for row in ROWS[:5]
    ]
    other_answer = rows[0] | {"answers": " Brian"}
    task = configured(
        "task", "own_data", data=write(tmp_path / "mine.jsonl", [*rows, other_answer, *rows[:2]])
    )
    found = task.dataset(tokenizer, Split.test, 9, or_fewer=True)
    assert set(found["clean"]) == {rows[0]["clean"]}
    assert len(set(found["id"])) == len(found) == 6
    assert sorted(found["corrupted"]) == sorted(row["corrupted"] for row in [*rows, other_answer])
    assert found.info.description == "2 of 8 test rows repeat another"


def test_rows_that_do_not_fit_are_counted_with_their_reasons(tokenizer):
    task = configured("task", "own_data", data=str(CASES / "own_data" / "half_misfit.jsonl"))
    for split in Split:
        rows = task.dataset(tokenizer, split, 60, or_fewer=True)
        lines = (CASES / "own_data" / "half_misfit.jsonl").read_text().splitlines()
        written = [row for row in map(json.loads, lines) if row["split"] == split.value]
        longer = [
            row for row in written if len(row["corrupted"].split()) != len(row["clean"].split())
        ]
        assert (len(rows), len(written), len(longer)) == (30, 60, 30)
        told = (
            rf"30 of 60 {split.value} rows do not fit the tokenizer and are left out: 30 because '"
        )
        assert re.match(told, rows.info.description)
        assert "is not of as many tokens as" in rows.info.description
        # Read back, it says the same.
        again = task.dataset(tokenizer, split, 60, or_fewer=True)
        assert again.info.description == rows.info.description


@pytest.mark.slow
def test_more_misfits_in_a_row_than_a_generated_task_may_have_hide_no_row(tmp_path, tokenizer):
    good = known(ROWS[1]) | {"split": "test", "subject": ""}
    rows = [*(good | {"clean": f"qqq{n} went"} for n in range(6_000)), good]
    task = configured("task", "own_data", data=write(tmp_path / "mine.jsonl", rows))
    rows = task.dataset(tokenizer, Split.test, 9, or_fewer=True)
    assert len(rows) == 1
    assert rows.info.description.startswith("6000 of 6001 test rows do not fit")


@pytest.mark.parametrize("typed", [("clean", "corrupted"), ("clean",), ("corrupted",)])
def test_a_typed_start_token_comes_once(tmp_path, tokenizer, typed):
    plain = known(ROWS[0]) | {"split": "test"}
    start = tokenizer.convert_ids_to_tokens(tokenizer.bos_token_id)
    row = plain | {name: start + plain[name] for name in typed}
    tokens = []
    for number, one in enumerate((plain, row)):
        task = configured("task", "own_data", data=write(tmp_path / f"{number}.jsonl", [one]))
        tokens.append(task.batch(tokenizer, Split.test, 1))
    for name in ("clean", "corrupted", "subject", "answers"):
        assert getattr(tokens[0], name).equal(getattr(tokens[1], name))
    assert (tokens[1].clean == tokenizer.bos_token_id).sum() == 1
    bare = configured("task", "own_data", data=task.data, prepend_bos=False)
    if typed == ("clean", "corrupted"):
        batch = bare.batch(tokenizer, Split.test, 1)
        assert batch.clean.equal(tokens[0].clean) and batch.subject.equal(tokens[0].subject)
