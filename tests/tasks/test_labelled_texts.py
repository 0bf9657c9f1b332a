"""Labelled texts: data sets of the hub in their own form, read from local files."""

import csv
import json
from random import Random

import datasets
import pytest

from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.prompts.task import Split
from methods.lens.judging.demonstrations import Slots, labels_of

PRESETS = [name for name in configured_names("task") if name.startswith("labelled_")]
PRESETS.remove("labelled_texts")
N_EACH = 60


def rows_for(task):
    """As many rows of each class as of every other, in the form of the task's own data."""
    draw = Random(0)
    for number, name in enumerate(task.labels):
        for count in range(N_EACH):
            words = [draw.choice("abcdefgh") * (1 + count % 5) + str(count) for _ in range(3)]
            texts = {
                field: f"{name.replace(' ', '')} {field} {' '.join(words)}" for field in task.fields
            }
            yield name, number, texts | {task.label_field: name}


def written(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return str(path)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_asks_for_the_class_of_texts_that_no_other_split_has(name, tmp_path):
    task = configured("task", name, data="nowhere")
    rows = [row for _, _, row in rows_for(task)]
    path = written(tmp_path / "mine.csv", rows)
    task = configured("task", name, data=path, demonstrations=3)
    seen = {}
    for split in (Split.train, Split.test):
        pairs = [pair for pair, _ in zip(task.pairs(split, 0), range(20), strict=False)]
        for pair in pairs:
            body = pair.clean.removeprefix(task.intro)
            shown = body.split(task.between)
            assert len(shown) == 4
            of_class = [
                max((x for x in task.labels if f"{x} {task.fields[0]}" in one), key=len)
                for one in shown
            ]
            *words, asked = [task.labels[one] for one in of_class]
            end = task.form.rpartition("{}")[2]
            assert all(
                one.endswith(f" {word}{end}") for one, word in zip(shown, words, strict=False)
            )
            assert pair.answers == (f" {asked}",)
            assert len(pair.wrong) == len(task.labels) - 1
            assert pair.clean.endswith(":")
            texts = {one.rpartition(":")[0] for one in shown}
            seen.setdefault(split, set()).update(texts)
    assert not seen[Split.train] & seen[Split.test]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "hub"])
def test_files_and_data_sets_of_one_content_give_one_task(ending, tmp_path):
    given = configured("task", "labelled_sst2", data="nowhere")
    found = list(rows_for(given))
    by_name = written(tmp_path / "mine.csv", [row for _, _, row in found])
    numbered = [row | {"label": number} for _, number, row in found]
    if ending == "jsonl":
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in numbered))
    else:
        names = datasets.ClassLabel(names=list(given.labels))
        table = datasets.Dataset.from_list(numbered).cast_column("label", names)
        path = tmp_path / "data" / "train.parquet"
        path.parent.mkdir()
        table.to_parquet(path)
        path = path if ending == "parquet" else path.parent
    ours, theirs = (
        next(
            configured("task", "labelled_sst2", data=str(x), demonstrations=4).pairs(Split.train, 1)
        )
        for x in (by_name, path)
    )
    assert ours == theirs


def test_prompts_align_and_say_where_labels_stand(tmp_path):
    task = configured("task", "labelled_trec", data="nowhere")
    path = written(tmp_path / "mine.csv", [row for _, _, row in rows_for(task)])
    task = configured("task", "labelled_trec", data=path, demonstrations=2)
    texts = [
        x
        for pair, _ in zip(task.pairs(Split.test, 0), range(200), strict=False)
        for x in (pair.clean, *pair.answers)
    ]
    tokenizer = word_level_tokenizer(texts, 200)
    batch = task.batch(tokenizer, Split.test, 6)
    slots = Slots.of(batch, labels_of([batch]))
    assert slots.places.sum(1).tolist() == [3] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(demonstrations=0), "task.demonstrations=0 must be 1 or more"),
        (dict(form="{}: "), "needs {} for text and, after a space, {} for the label"),
        (dict(form="{}:{}"), "after a space"),
        (dict(labels={"good": "Good"}), "must name two classes or more"),
        (dict(labels={"a": "Good", "b": "Good"}), "none twice"),
        (dict(fields=["review"], form="{}: {}"), "row 1 has no 'review'; it has text, label"),
        (dict(labels={"fine": "Good", "poor": "Bad"}), "its labels are bad, good: name them in"),
        (dict(longest=3), "has 0 train texts of 'Good' of at most 3 characters, and needs more"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(changes, message, tmp_path):
    rows = [{"text": f"text {n}", "label": ("good", "bad")[n % 2]} for n in range(200)]
    path = written(tmp_path / "mine.csv", rows)
    settings = {"labels": {"good": "Good", "bad": "Bad"}} | changes
    with pytest.raises(UserError, match=message.replace("{", r"\{").replace("}", r"\}")):
        configured("task", "labelled_texts", data=path, **settings).draw(Random(0))


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read as .csv, .tsv, .jsonl or .parquet"):
        configured("task", "labelled_sst2", data=str(tmp_path / "none.csv")).draw(Random(0))
