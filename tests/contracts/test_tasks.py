"""Every task: aligned pairs, right answers by an independent reading, splits that share nothing."""

import json
import re
from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from support.paths import GOLDEN

from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.models.tokenizer import load_tokenizer
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.prompts.dataset import batch_of, data_hash
from benchmark.prompts.generated import N_FINGERPRINT_PAIRS
from benchmark.prompts.task import Split, Task
from benchmark.zoo.cards import zoo_directory
from tasks.words import capitals, categories, lines, names, number_pairs

OPTIONS = [name for name in configured_names("task") if name != "own_data"]
COMPILED = ("fraction_of_x", "reversal")
# Tasks with words that no model of the zoo knows.
BEYOND_THE_ZOO = ("indefinite_article",)
HASHES = json.loads((GOLDEN / "task_hashes.json").read_text())


def tokenizer_for(option):
    if option in BEYOND_THE_ZOO:
        draw, task = Random(0), configured("task", option)
        pairs = [task.draw(draw) for _ in range(300)]
        texts = [text for pair in pairs for text in (pair.clean, pair.corrupted, *pair.answers)]
        return word_level_tokenizer([*texts, *pairs[0].wrong], 100)
    name = option if option in COMPILED else "toy_gpt2"
    return load_tokenizer(str(zoo_directory(name)), None, 100_000)


def words(text):
    return re.findall(r"\w+", text)


def solve_ioi(prompt):
    mentioned = Counter(word for word in words(prompt) if word in names())
    return {name for name, times in mentioned.items() if times == 1}


def solve_greater_than(prompt):
    last, century = re.findall(r"\d+", prompt)[-2:]
    assert last[:2] == century
    return {f"{number:02d}" for number in range(100) if number > int(last[2:])}


def solve_docstring(prompt):
    arguments = re.search(r"^def \w+\((.*)\):$", prompt, re.MULTILINE).group(1).split(", ")
    documented = re.findall(r":param (\w+):", prompt)
    following = arguments.index(documented[-1]) + 1 if documented[-1] in arguments else None
    return {arguments[following]} if following else set()


def solve_induction(prompt):
    *earlier, last = words(prompt)
    return {earlier[earlier.index(last) + 1]} if last in earlier else set()


def solve_agreement(prompt):
    subject = words(prompt)[1]
    plural = subject in {plural for _, plural in number_pairs()}
    return {"are", "were", "have"} if plural else {"is", "was", "has"}


def solve_pronoun(prompt):
    male = {*lines("male_names"), *lines("male_professions"), "man"}
    female = {*lines("female_names"), *lines("female_professions"), "woman"}
    person = next(word for word in words(prompt) if word in male | female)
    return {"he"} if person in male else {"she"}


def solve_capital(prompt):
    return {capitals()[word] for word in words(prompt) if word in capitals()}


def solve_country(prompt):
    countries = {capital: country for country, capital in capitals().items()}
    return {countries[word] for word in words(prompt) if word in countries}


def solve_hypernymy(prompt):
    found = set(words(prompt))
    return {name for name, members in categories().items() if len(found & set(members)) == 2}


def solve_colour(prompt):
    colour = re.search(r"is (\w+)\.", prompt).group(1)
    return set(re.findall(rf"^(\w)\. {colour}$", prompt, re.MULTILINE))


def solve_arithmetic(prompt):
    a, b = map(int, re.findall(r"\d+", prompt))
    minus = re.search(r"minus|difference|-", prompt)
    return {str(abs(a - b) if minus else a + b)}


def solve_article(prompt):
    asked = re.findall(r"one (\w+)", prompt)[-1]
    return {"an"} if asked[0] in "aeiou" else {"a"}


def solve_fraction(prompt):
    return {str(Fraction(prompt.split().count("x"), len(prompt.split())))}


def solve_reversal(prompt):
    sequence, _, done = prompt.partition(" >")
    return {sequence.split()[::-1][len(done.split())]}


SOLVERS = {
    "ioi": solve_ioi,
    "greater_than": solve_greater_than,
    "docstring": solve_docstring,
    "induction": solve_induction,
    "agreement": solve_agreement,
    "gendered_pronoun": solve_pronoun,
    "gender_bias": solve_pronoun,
    "country_capital": solve_country,
    "capital_of_country": solve_capital,
    "hypernymy": solve_hypernymy,
    "colour_copying": solve_colour,
    "arithmetic": solve_arithmetic,
    "indefinite_article": solve_article,
    "fraction_of_x": solve_fraction,
    "reversal": solve_reversal,
}


def solver(option):
    return next(solve for prefix, solve in SOLVERS.items() if option.startswith(prefix))


@pytest.mark.parametrize("option", OPTIONS)
def test_answers_are_right_and_corruption_flips_or_destroys_them(option):
    task = configured("task", option)
    assert isinstance(task, Task)
    rows = task.dataset(tokenizer_for(option), Split.train, 40, or_fewer=True)
    solve = solver(option)
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


@pytest.mark.parametrize("option", OPTIONS)
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


@pytest.mark.parametrize("option", OPTIONS)
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


@pytest.mark.parametrize("option", OPTIONS)
def test_data_are_the_same_on_every_platform_and_in_every_version(option):
    task = configured("task", option)
    rows = task.dataset(tokenizer_for(option), Split.validation, 40, or_fewer=True)
    assert data_hash(rows) == HASHES[option]


def test_asking_for_more_than_there_is_says_how_many_there_are():
    task, tokenizer = configured("task", "country_capital"), tokenizer_for("country_capital")
    with pytest.raises(UserError, match=r"has \d+ test prompts .* not the 1000") as caught:
        task.dataset(tokenizer, Split.test, 1000)
    n_prompts = int(re.search(r"has (\d+)", str(caught.value)).group(1))
    assert len(task.dataset(tokenizer, Split.test, 1000, or_fewer=True)) == n_prompts
    with pytest.raises(UserError, match="0 prompts were asked"):
        task.dataset(tokenizer, Split.test, 0)


def test_prompts_are_made_once_and_then_read_back(monkeypatch):
    from tasks.ioi import IOI

    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    first = task.dataset(tokenizer, Split.train, 25, seed=11)
    draw, draws = IOI.draw, []
    monkeypatch.setattr(IOI, "draw", lambda *given: draws.append(given) or draw(*given))
    again = task.dataset(tokenizer, Split.train, 25, seed=11)
    assert first.to_list() == again.to_list()
    assert first._fingerprint == again._fingerprint
    assert len(draws) == N_FINGERPRINT_PAIRS
    configured("task", "ioi", order="abba").dataset(tokenizer, Split.train, 25, seed=11)
    assert len(draws) > 2 * N_FINGERPRINT_PAIRS


def test_changed_words_make_new_prompts(monkeypatch):
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    before = task.dataset(tokenizer, Split.train, 25, seed=12)
    other = ("Zoe", *names()[1:])
    monkeypatch.setattr("tasks.ioi.names", lambda: other)
    after = task.dataset(tokenizer, Split.train, 25, seed=12)
    assert before._fingerprint != after._fingerprint


def test_another_process_may_make_the_same_dataset_first(monkeypatch):
    from benchmark.prompts import dataset as prompt_data

    save, calls = prompt_data._save_atomically, []

    def save_twice(dataset, folder):
        calls.append(folder)
        save(dataset, folder)
        save(dataset, folder)

    monkeypatch.setattr(prompt_data, "_save_atomically", save_twice)
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    assert len(task.dataset(tokenizer, Split.train, 5, seed=13)) == 5
    assert len(calls) == 1
    assert [path for path in calls[0].parent.iterdir() if path.name.startswith("tmp")] == []


def test_how_a_batch_was_padded_last_is_no_part_of_a_fingerprint():
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    before = task.dataset(tokenizer, Split.train, 5)
    tokenizer(["a b c", "a"], padding=True, truncation=True, max_length=5)
    assert task.dataset(tokenizer, Split.train, 5)._fingerprint == before._fingerprint


def test_seeds_and_sizes_nest():
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    few, many, other = (
        task.dataset(tokenizer, Split.train, n, seed) for n, seed in ((10, 0), (30, 0), (30, 1))
    )
    assert many["id"][:10] == few["id"][:]
    assert set(many["id"]) != set(other["id"])


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [
        ("ioi", dict(templates=[0]), r"templates=\[0\] must name templates 1 to 15"),
        ("ioi", dict(templates=[]), "must name templates"),
        ("ioi", dict(order="abab"), "task.order cannot be used: Invalid value 'abab'"),
        ("greater_than", dict(first_century=9), "must be two digits each"),
        ("docstring", dict(n_matching=1), "n_matching=1 must be 2 or more"),
        ("induction", dict(shortest=1), "2 <= shortest <= longest"),
        ("agreement", dict(constructions=[]), "name one or more of simple"),
        ("arithmetic_addition", dict(smallest=5, largest=5), "below"),
        ("hypernymy", dict(templates=[9]), "must name templates 1 to 4"),
        ("country_capital", dict(templates=[9]), "must name templates 1 to 5"),
        ("arithmetic_addition", dict(templates=[9]), "must name templates 1 to 5"),
        ("ioi_six_names", dict(places=[]), r"places is empty; .* such as task.places=\[bar\]"),
        ("reversal", dict(longest=9), "2 <= shortest <= longest <= 5"),
        ("fraction_of_x", dict(longest=9), "1 <= shortest <= longest <= 5"),
    ],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)


@pytest.mark.parametrize(
    ("option", "corrupted_names"),
    [("ioi", 0), ("ioi_third_name", 2), ("ioi_io_flip", 2)],
)
def test_published_corruptions_of_ioi(option, corrupted_names):
    """How many of the first clause's names the corrupted prompt keeps, and that S2 changes."""
    rows = configured("task", option).dataset(tokenizer_for(option), Split.train, 40)
    for row in rows:
        clean, corrupted = (
            [word for word in words(row[key]) if word in names()] for key in ("clean", "corrupted")
        )
        assert len(set(clean[:2]) & set(corrupted[:2])) == corrupted_names
        assert clean[2] != corrupted[2]
        if option == "ioi_io_flip":
            assert set(clean) == set(corrupted)
        if option != "ioi_io_flip":
            assert corrupted[2] not in clean


def test_orders_of_ioi():
    for option, first in (("ioi_abba", "answers"), ("ioi_baba", "wrong")):
        for row in configured("task", option).dataset(tokenizer_for(option), Split.train, 20):
            mentioned = [word for word in words(row["clean"]) if word in names()]
            assert f" {mentioned[0]}" == row[first][0]
