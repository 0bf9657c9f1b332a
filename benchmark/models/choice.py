"""A model as a config names it: conf/model/, one yaml for each of the zoo and of the hub's."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.models.loading import LanguageModel, load_model
from benchmark.zoo.cards import zoo_directory


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
    directory = zoo_directory(name) or Path(name)
    if not directory.is_dir():
        return None
    files = sorted(path for path in directory.iterdir() if path.is_file())
    found = [[path.name, digest_of_file(path)] for path in files if path.name not in CARD_FILES]
    return digest(found)
