"""Loading a tokenizer and making sure that it is one, and the right one.

`AutoTokenizer` can build a class for the model type that ignores the files' own tokenizer and
maps every text to nothing (Qwen 2 with a word-level tokenizer); the tokenizer.json beside the
model is then read as it is.
"""

from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from benchmark.errors import UserError
from benchmark.models.quiet import quiet_transformers

PROBE = "When Mary and John went to the store, John gave a drink to"


def load_tokenizer(source: str, revision: str | None, d_vocab: int) -> PreTrainedTokenizerBase:
    """The tokenizer of a directory or repository, checked against the model's vocabulary.

    Raises:
        UserError: there is none, it is damaged, it tokenises text to nothing, or it makes ids
            that the model does not have.
    """
    # The probe may be longer than a small model's context, which is no matter here.
    with quiet_transformers():
        tokenizer = _first_that_works(source, revision)
        ids = tokenizer(PROBE)["input_ids"]
    largest = max(tokenizer.get_vocab().values(), default=0)
    if not ids:
        raise UserError(f"the tokenizer of {source!r} maps text to no tokens; it is not usable")
    if max(ids) >= d_vocab or largest - len(tokenizer.added_tokens_decoder) >= d_vocab:
        raise UserError(
            f"the tokenizer of {source!r} has ids up to {largest}, but the model has only "
            f"{d_vocab} embeddings; it belongs to another model"
        )
    return tokenizer


def _first_that_works(source: str, revision: str | None) -> PreTrainedTokenizerBase:
    at: dict[str, Any] = {} if revision is None else {"revision": revision}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **at)
        if tokenizer(PROBE)["input_ids"]:
            return tokenizer
        return PreTrainedTokenizerFast.from_pretrained(source, **at)
    except Exception as error:  # parsers of tokenizer files raise classes of their own
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"no usable tokenizer for {source!r}; put its tokenizer.json there, or give prompts "
            f"as token ids. Hugging Face says: {reason}"
        ) from error
