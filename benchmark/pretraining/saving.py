"""Making an untrained model of the zoo, and saving a finished one with its card."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedTokenizerBase
from transformers.models.auto import AutoModelForCausalLM

from benchmark.errors import UserError
from benchmark.models.loading import graph_of_config
from benchmark.models.quiet import quiet_transformers
from benchmark.pretraining.card import write_card
from benchmark.references.circuits import FILE
from benchmark.seeds import derived_seed
from benchmark.tensors import write_tensors
from benchmark.zoo.cards import FOLDER

# Dropout of heads that a language model has not.
OF_CLASSIFIERS = ("summary_first_dropout", "classifier_dropout")


def context_length(architecture: dict[str, Any]) -> int:
    """Positions that a model of this architecture has."""
    return _config(architecture, 1).max_position_embeddings


def initial_model(architecture: dict[str, Any], d_vocab: int, seed: int) -> Any:  # noqa: ANN401
    """The untrained Hugging Face model of `architecture` (model_type and sizes).

    Raises:
        UserError: the engine does not know the family, or the model has dropout, whose random
            draws a resumed run could not repeat.
    """
    config = _config(architecture, d_vocab)
    graph_of_config(config)
    for name, value in config.to_dict().items():
        if name.endswith(("pdrop", "dropout")) and value and name not in OF_CLASSIFIERS:
            raise UserError(f"architecture.{name}={value} is dropout; set it to 0.0")
    torch.manual_seed(derived_seed(seed, "initial weights"))
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def save_zoo_model(
    model: Any,  # noqa: ANN401 - a class per family
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    directory: str | None,
    facts: dict[str, Any],
    scored: list[str],
    n_scored: int,
    reference: dict[str, Any] | None = None,
    beside: dict[str, dict[str, Tensor]] | None = None,
) -> Path:
    """Save a model, its tokenizer, its reference circuit and its card; return the folder.

    Everything is written beside the folder, which is exchanged for it at the end.

    Args:
        model: the Hugging Face model.
        tokenizer: its tokenizer.
        name: its name in the zoo.
        directory: the folder of the zoo, or None for the shipped one.
        facts: what made it, for the card.
        scored: options of conf/task to score it on.
        n_scored: prompts per task.
        reference: the content of its reference.json, but for the number of edges.
        beside: tensors by the name of the file that keeps them beside the model.
    """
    folder = (FOLDER if directory is None else Path(directory)) / name
    new, old = (folder.with_name(f".{folder.name}.{which}") for which in ("new", "old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    with quiet_transformers():
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    # safetensors makes private files; give the weights the permissions of the others.
    (new / "model.safetensors").chmod((new / "config.json").stat().st_mode)
    if reference is not None:
        content = reference | {"models": [], "n_edges": len(reference["edges"])}
        (new / FILE).write_text(json.dumps(content, indent=1) + "\n")
    for file, tensors in (beside or {}).items():
        write_tensors(new / file, tensors, {})
    write_card(new, name, facts, scored, n_scored)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def _config(architecture: dict[str, Any], d_vocab: int) -> Any:  # noqa: ANN401
    facts = dict(architecture)
    kind = facts.pop("model_type", None)
    try:
        return AutoConfig.for_model(
            kind, vocab_size=d_vocab, bos_token_id=0, eos_token_id=0, **facts
        )
    except ValueError as error:
        raise UserError(f"architecture.model_type={kind} cannot be used: {error}") from error
