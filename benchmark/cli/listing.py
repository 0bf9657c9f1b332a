"""What lists the cells of a grid in this process, and composes no more of them than it must.

Hydra puts a cell together in a tenth of a second, file by file, and most of a cell is what others
have too. Here the first cell is put together, and every part in which another differs: what it is
given that begins with one word (`task=ioi task.n_names=4`). A part that changes nothing but its own
settings is then the same in every cell, and cells are made of such parts. What is no such part (an
experiment, a part that another one looks at) is left to Hydra, cell by cell.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

from benchmark.cli.composing import use_instead
from benchmark.cli.job_facts import changes_among
from benchmark.cli.typed.own import use_config_dir
from benchmark.config import build, option_text, sharing_built
from benchmark.errors import UserError
from benchmark.records.names import AXES
from benchmark.signals import leave_if_signalled

if TYPE_CHECKING:
    from benchmark.run.cell import Cell

REFERENCE = re.compile(r"\$\{[^}]*\}?")
# What an option says that changes more than its own part.
BEYOND = re.compile(r"@package|^defaults:", re.MULTILINE)
# A part of a grid: the words that it is about, and all that is given for them.
Part = tuple[frozenset[str], tuple[str, ...]]


class Listing(BasicLauncher):
    """Notes the state of every cell, whatever is set of the launcher that would run them."""

    composes_first = True

    def __init__(self, **of_launcher: object) -> None:
        super().__init__()

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Note all cells."""
        from benchmark.run.grid.jobs import validate_cell

        assert self.config is not None and self.hydra_context is not None
        parts = Parts(self.hydra_context.config_loader, self.config, job_overrides[0])
        with sharing_built():
            for number, typed in enumerate(job_overrides, initial_job_idx):
                cell = parts.cell(typed)
                if cell is None or not validate_cell(cell, number, changes_among(typed)):
                    super().launch([typed], number)
        return []


class Parts:
    """The parts of a grid that were put together.

    Args:
        loader: Hydra's.
        settings: of the command.
        first: what is given for the first cell.
    """

    def __init__(self, loader: ConfigLoader, settings: DictConfig, first: Sequence[str]) -> None:
        self._loader, self._settings, self._first = loader, settings, by_word(first)
        self._made: dict[Part, Cell | None] = {}
        # By word, the words that its settings refer to, and those whose settings refer to it.
        self._beside: dict[str, set[str]] = {}
        HydraConfig.instance().set_config(settings)
        use_config_dir()
        self._base = None if reach_beyond(first) else self._composed(self._first)

    def cell(self, typed: Sequence[str]) -> "Cell | None":
        """A cell, if all its parts change nothing but their own settings."""
        base, given = self._base, by_word(typed)
        if base is None or given.keys() != self._first.keys():
            return None
        words = {word for word, texts in given.items() if texts != self._first[word]}
        if not words <= {field.name for field in fields(base)}:
            return None
        for word in words:
            self._part({word}, given)
        changed = {}
        while words:
            about = self._together(words)
            part = self._part(about, given)
            if part is None:
                return None
            changed |= {word: getattr(part, word) for word in about}
            base = replace(base, names=base.names | {w: part.names[w] for w in about & set(AXES)})
            words -= about
        return replace(base, **changed)

    def _together(self, words: set[str]) -> set[str]:
        """One of the words, with all those that look at it or at which it looks."""
        about: set[str] = set()
        more = {min(words)}
        while more:
            about |= more
            more = {word for word in words - about if self._beside.get(word, set()) & about}
        return about

    def _part(self, about: set[str], given: dict[str, tuple[str, ...]]) -> "Cell | None":
        """The first cell with what another is given for some words; None if more changes by it."""
        own = {word: given[word] for word in self._first if word in about}
        texts = tuple(text for some in own.values() for text in some)
        key = frozenset(about), texts
        if key not in self._made:
            found = None if reach_beyond(texts) else self._composed(self._first | own)
            self._made[key] = self._alone(about, found)
        return self._made[key]

    def _alone(self, about: set[str], found: "Cell | None") -> "Cell | None":
        if found is None or self._base is None:
            return None
        kept = {word: getattr(self._base, word) for word in about - {"names"}}
        names = found.names | {word: self._base.names[word] for word in about & set(AXES)}
        return found if replace(found, **kept, names=names) == self._base else None

    def _composed(self, given: dict[str, tuple[str, ...]]) -> "Cell | None":
        """A cell as Hydra puts it together; None if it cannot be one."""
        typed = [text for texts in given.values() for text in texts]
        try:
            config = self._loader.load_sweep_config(self._settings, typed)
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config["hydra"]
            self._note_references(config, set(given))
            return build(config, where="run")
        except Exception:
            leave_if_signalled()
            # Hydra's own way says what is wrong, and of which cells.
            return None

    def _note_references(self, config: DictConfig, words: set[str]) -> None:
        raw = cast(dict[str, Any], OmegaConf.to_container(config, resolve=False))
        for word in words & raw.keys():
            named = set(re.findall(r"\w+", " ".join(REFERENCE.findall(str(raw[word])))))
            for other in named & words - {word}:
                self._beside.setdefault(word, set()).add(other)
                self._beside.setdefault(other, set()).add(word)


def by_word(typed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What is given, by the word that it begins with: a group, a setting, or `hydra`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in typed:
        (word,) = re.findall(r"^[+~]*([^=./@]*)", text)
        found[word] = (*found.get(word, ()), text)
    return found


def reach_beyond(typed: Sequence[str]) -> bool:
    """Whether an option of a cell's groups sets more than its own part, or is put elsewhere."""
    for text in typed:
        name, _, option = text.lstrip("+").partition("=")
        group, elsewhere, _ = name.partition("@")
        if group in AXES and (elsewhere or BEYOND.search(_text_of(group, option))):
            return True
    return False


def _text_of(group: str, option: str) -> str:
    try:
        return option_text(group, option.strip("'\""))
    except UserError:
        # Hydra says that there is none.
        return ""


def list_here() -> None:
    """Let `validate` list cells here, whichever launcher is chosen to run them."""
    use_instead(dict.fromkeys(Plugins.instance().discover(Launcher), Listing))
