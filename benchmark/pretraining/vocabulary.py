"""The zoo's tokenizer: one token per word, punctuation mark and pair of digits.

Numbers split as GPT-2 splits years, 1732 -> 17 32, so that greater-than prompts fit. Spaces are
not tokens; line breaks are.
"""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

END, UNKNOWN = "<|endoftext|>", "<|unknown|>"
TOKEN = r'"""|\n|\d{1,2}|[^\W\d]+|[^\w\s]'
DIGITS = [str(number) for number in range(10)] + [f"{number:02d}" for number in range(100)]


def word_level_tokenizer(texts: Iterable[str], n_positions: int) -> PreTrainedTokenizerFast:
    """A tokenizer of all words of `texts`, of all digits and pairs of digits, BOS and unknown."""
    split = pre_tokenizers.Split(Regex(TOKEN), behavior="removed", invert=True)
    words = {word for text in texts for word, _ in split.pre_tokenize_str(text)} | set(DIGITS)
    return tokenizer_of(sorted(words), split, n_positions)


def tokenizer_of(
    words: Sequence[str], cut: pre_tokenizers.PreTokenizer, n_positions: int
) -> PreTrainedTokenizerFast:
    """A tokenizer of these words, after BOS and unknown, which cuts text as `cut` does."""
    vocabulary = {word: index for index, word in enumerate([END, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = cut
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=n_positions,
    )
