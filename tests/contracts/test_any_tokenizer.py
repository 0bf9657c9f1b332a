"""Every task on tokenizers that cut text as known families do."""

import re
from functools import cache
from pathlib import Path
from random import Random

import pytest
from support.tasks import OPTIONS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import tasks.words
from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.tokenizer import load_tokenizer
from benchmark.prompts.encoding import PromptEncoder
from benchmark.prompts.task import Split
from benchmark.zoo.cards import zoo_directory
from tasks.words import lines

COMPILED = ("fraction_of_x", "reversal")

# How the tokenizers of four families cut text before they merge bytes.
CUTS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+",
    "qwen2": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+",
    "spaces": r" {2,}| ?\p{L}+| ?\p{N}+|[^\s\p{L}\p{N}]+|\s",
}
# What a family cannot do: numbers of two tokens where two digits or one are needed.
IMPOSSIBLE = {
    "gpt2": (),
    "llama3": ("greater_than",),
    "qwen2": ("greater_than", "arithmetic_addition_mib", "arithmetic_subtraction_mib"),
    "spaces": (),
}


@cache
def training_texts():
    """Words of the tasks with and without their space, and numbers of up to two digits."""
    folder = Path(tasks.words.__file__).parent
    lists = [lines(path.stem) for path in sorted(folder.glob("*.txt"))]
    single = {"he", "she", "is", "was", "has", "are", "were", "have", "man", "woman"}
    single |= {"Answer", "Country", "City"}
    single |= {word for found in lists for line in found for word in re.findall(r"\w+", line)}
    texts = [text for word in sorted(single) for text in (f" {word}", word)] * 5
    sentences = [
        configured("task", option).draw(Random(seed)).clean
        for option in OPTIONS
        if not option.startswith((*COMPILED, "greater_than", "arithmetic"))
        for seed in range(40)
    ]
    numbers = [f" {number}" for number in range(100)] + [f" {number:02d}" for number in range(10)]
    bare = [f"{number:02d}" for number in range(100)]
    return texts + sentences + (numbers + bare) * 20 + [" 1100 1700 1300"] * 30


def trained_on(texts, cut):
    """A byte-pair tokenizer that cuts as a known family does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUTS[cut]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=8000, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"]
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    made.name_or_path = cut
    return made


@pytest.fixture(scope="module", params=list(CUTS))
def byte_pairs(request):
    """Tokenizers of four families, trained on the tasks' texts.

    As in GPT-2, some centuries merge with 00.
    """
    return trained_on(training_texts(), request.param)


@pytest.mark.slow
@pytest.mark.parametrize("option", [name for name in OPTIONS if name not in COMPILED])
def test_any_tokenizer_serves(option, byte_pairs, monkeypatch):
    """Pairs that a tokenizer does not fit are redrawn; if none fits, one error says why."""
    task = configured("task", option)
    if option.startswith(IMPOSSIBLE[byte_pairs.name_or_path]):
        monkeypatch.setattr("benchmark.prompts.drawn.MOST_MISFITS", 200)
        with pytest.raises(UserError, match=r"has 0 train prompts .* What does not fit: '"):
            task.dataset(byte_pairs, Split.train, 5)
        return
    start = [byte_pairs.eos_token_id] if task.prepend_bos else []
    for row in task.dataset(byte_pairs, Split.train, 15):
        clean, corrupted = row["clean_tokens"], row["corrupted_tokens"]
        assert len(clean) == len(corrupted)
        assert clean != corrupted
        texts = byte_pairs.batch_decode([clean[len(start) :], corrupted[len(start) :]])
        assert [text.removesuffix(" ") for text in texts] == [row["clean"], row["corrupted"]]
        space = " " if texts[0].endswith(" ") else ""
        tokens = row["answer_tokens"] + row["wrong_tokens"]
        answers = zip(row["answers"] + row["wrong"], tokens, strict=True)
        for answer, token in answers:
            begun = space + byte_pairs.decode([token])
            assert answer.startswith(begun)
            # Only names of facts, countries and categories may be longer than their first token.
            assert begun == answer or task.family in ("country_capital", "facts", "hypernymy")
        span = byte_pairs.decode(clean[row["subject_start"] : row["subject_stop"]])
        assert span.strip() == row["subject"]
        if task.family == "greater_than":
            assert len(row["answer_tokens"]) + len(row["wrong_tokens"]) == 100


def test_one_error_says_which_words_do_not_fit(monkeypatch):
    monkeypatch.setattr("benchmark.prompts.drawn.MOST_MISFITS", 300)
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=260, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    letters.train_from_iterator(["a"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, bos_token="a")
    tokenizer.name_or_path = "letters"
    with pytest.raises(UserError, match=r"task ioi has 0 train prompts .* .letters., not the 3"):
        configured("task", "ioi").dataset(tokenizer, Split.train, 3)
    with pytest.raises(UserError, match=r"' \w+' is not a single token"):
        configured("task", "ioi").dataset(tokenizer, Split.train, 3)


def test_a_tokenizer_without_a_first_token_is_refused():
    tokenizer = load_tokenizer(str(zoo_directory("toy_gpt2")), None, 100_000)
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match=r"set task\.prepend_bos=false"):
        PromptEncoder(bare, prepend_bos=True)
    assert PromptEncoder(bare, prepend_bos=False).start == []


@pytest.mark.parametrize(
    ("option", "unseen"), [("indefinite_article", "umbrella"), ("ioi_six_names", "Ashley")]
)
def test_prompts_for_positions_have_one_length_without_words_of_many_tokens(option, unseen):
    task, draw = configured("task", option), Random(0)
    texts = [f"{pair.clean}{pair.answers[0]}" for pair in map(task.draw, [draw] * 1000)]
    tokenizer = trained_on([text for text in texts if unseen not in text], "gpt2")
    rows = task.dataset(tokenizer, Split.train, 50)
    assert any(unseen in text for text in texts)
    assert not any(unseen in row["clean"] + row["corrupted"] for row in rows)
    assert len({len(tokens) for tokens in rows["clean_tokens"]}) == 1
