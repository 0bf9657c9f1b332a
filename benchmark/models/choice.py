"""A model as a config names it: conf/model/, one yaml for each of the zoo and of the hub's."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.places import local_directory


@dataclass(frozen=True)
class ModelChoice:
    """Which model to load, and how; see conf/model/toy_gpt2.yaml and `load_model`."""

    name: str
    revision: str | None
    dtype: str
    device: str
    check: bool

    def load(self) -> LanguageModel:
        """The model."""
        return load_model(
            self.name,
            dtype=self.dtype,
            device=self.device,
            revision=self.revision,
            check=self.check,
        )


# They say what is known of a model and change no number.
CARD_FILES = ("card.json", "README.md")


def files_digest(name: str) -> str | None:
    """A digest of all files of a local model but its card; None for a name of the hub."""
    directory = local_directory(name)
    if directory is None:
        return None
    files = sorted(path for path in directory.iterdir() if path.is_file())
    found = [[path.name, _digest_of(path)] for path in files if path.name not in CARD_FILES]
    return digest(found)


def _digest_of(path: Path) -> str:
    facts = path.stat()
    return _digest_while(path.absolute(), facts.st_mtime_ns, facts.st_size)


@cache
def _digest_while(path: Path, changed: int, size: int) -> str:
    """The digest of a file while it is unchanged: every cell of a grid asks, of the same files."""
    return digest_of_file(path)
