"""Classification from right and from consistently wrong demonstrations."""

import re
from random import Random

import pytest
from support.paths import ROOT

from benchmark.config import configured
from benchmark.errors import UserError

BEYOND_THE_ZOO = True
HASHES = {
    "demonstrations": "e51eac05b95a4953bf63825cd9c9d9b48372b11cc1788b222261b1cc68ff5dfe",
    "demonstrations_sport": "ada9da966f27b701c18d5fb8b2b9adcc1cc8f85e79101cf4d86ad24d77969373",
    "demonstrations_sentiment": "7909fa8956ce89dd7241bb8f4bc579b5766c6f28290bbbfc1d117e5321afa66c",
    "demonstrations_made_up": "67af319c9cc49d0404a285488f4c93c712635b97dd78f9562566c6f0d3d09e35",
}


def lists():
    """Label by input, in the order of labels, read by patterns and not by the task's reader."""
    text = (ROOT / "tasks" / "words" / "classes.txt").read_text()
    for section in re.split(r"^\[\w+\]\n", text, flags=re.M)[1:]:
        lines = dict(re.findall(r"^(\w+): (.*)$", section, flags=re.M))
        yield {x: label for label, inputs in lines.items() for x in inputs.split(" | ")}


def solve(prompt):
    """The label that the first demonstration's mistake suggests."""
    *shown, query = prompt.split("\n")
    by_input = next(found for found in lists() if query.rstrip(":") in found)
    labels = list(dict.fromkeys(by_input.values()))
    shifts = set()
    for line in shown:
        text, label = line.rsplit(": ", 1)
        shifts.add((labels.index(label) - labels.index(by_input[text])) % len(labels))
    (shift,) = shifts
    right = by_input[query.rstrip(":")]
    return {labels[(labels.index(right) + shift) % len(labels)]}


def test_no_input_is_in_two_lists_or_under_two_labels():
    inputs = [x for found in lists() for x in found]
    assert len(set(inputs)) == len(inputs)
    assert len(list(lists())) == 4
    for found in lists():
        assert not set(found) & set(found.values())


def test_prompts_differ_in_labels_alone_and_ask_for_no_input_twice():
    for seed in range(30):
        pair = configured("task", "demonstrations").draw(Random(seed))
        clean, corrupted = pair.clean.split("\n"), pair.corrupted.split("\n")
        assert len(clean) == 6
        inputs = [line.split(":")[0] for line in clean]
        assert inputs == [line.split(":")[0] for line in corrupted]
        assert len(set(inputs)) == 6
        pairs = zip(clean[:-1], corrupted[:-1], strict=True)
        assert all(one.split(": ")[1] != other.split(": ")[1] for one, other in pairs)


def test_a_share_of_the_training_texts_repeats_mistakes():
    for mistaken in (0.0, 1.0):
        task = configured("task", "demonstrations", mistaken=mistaken)
        texts = [task.text(Random(seed)) for seed in range(20)]
        by_input = next(lists())
        said = [text.rsplit(": ", 1)[1] for text in texts]
        right = [by_input[text.split("\n")[-1].split(":")[0]] for text in texts]
        assert all((one == other) == (not mistaken) for one, other in zip(said, right, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(demonstrations=0), "task.demonstrations=0 must be 1 or more"),
        (
            dict(demonstrations=15),
            "must be below 15, as many inputs as the smallest class of",
        ),
        (dict(mistaken=1.5), "task.mistaken=1.5 must lie in 0..1"),
        (dict(data="fruit"), "task.data='fruit' is none of kinds, sport, sentiment, made_up"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", "demonstrations", **changes).draw(Random(0))
