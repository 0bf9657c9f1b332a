"""A folder of options that `--config-dir` names, checked before Hydra reads it.

Options are data. Hydra itself would run code that its own settings name (`hydra.callbacks`,
`hydra.launcher`, ...) and set variables of the environment, so a folder may set only a few of
them; a package that is named in `plugins=[...]` is code, and is asked nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmark.cli.typed.references import References
from benchmark.errors import UserError

# What an option may set of Hydra's own: True for all below a key.
ALLOWED: dict[str, Any] = {
    "mode": True,
    "sweeper": {"params": True},
    "run": {"dir": True},
    "sweep": {"dir": True, "subdir": True},
}
LAUNCHERS = re.compile(r"(override )?/?hydra/(launcher|job_logging|hydra_logging)")
# What puts options elsewhere than where their files lie.
MOVED = re.compile(r"^\s*#\s*@package\s+(?!_global_)|^\s*-.*@", re.M)
# A file of options has a few lines. With anchors, few lines can stand for billions of values.
MOST_BYTES, MOST_VALUES, MOST_REFERENCES, DEEPEST = 200_000, 20_000, 50, 30


def check_folder(folder: Path) -> None:
    """Refuse a folder of options that would run code, or is too large to read.

    Raises:
        UserError: a file cannot be read or is too large, or sets what only code may set.
    """
    files: dict[Path, str] = {}
    for path in sorted(folder.rglob("*.yaml")):
        if path.relative_to(folder).parts[0] == "hydra":
            raise _code(path, "lies in a group of Hydra's own")
        files[path] = _text(path)
    references = References(by_last_word=any(map(MOVED.search, files.values())))
    for path, text in files.items():
        group = ".".join(path.relative_to(folder).parts[:-1])
        references.add(group, _checked(path, text), str(path))
    references.check(str(folder))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{path} is larger than {MOST_BYTES:,} bytes; an option has a few lines"
            )
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _checked(path: Path, text: str) -> Any:  # noqa: ANN401 - yaml of any kind
    """What a file holds, if it may hold that."""
    if re.search(r"^\s*#\s*@package\s+\S*hydra", text, re.M):
        raise _code(path, "is put among Hydra's own settings by @package")
    if text.count("${") > MOST_REFERENCES:
        raise UserError(f"{path} has more than {MOST_REFERENCES} references ${{...}}; write values")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None and _n_values(node, {}, DEEPEST) > MOST_VALUES:
            raise UserError(f"{path} stands for more than {MOST_VALUES:,} values; write fewer")
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is not yaml: {' '.join(str(error).split())}") from error
    if isinstance(content, dict):
        _check_content(path, content)
    return content


def _n_values(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values a node stands for when its anchors are written out."""
    if depth == 0:
        return MOST_VALUES + 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # a node within itself has no end
        below = [one for part in _parts(node) for one in part]
        known[id(node)] = 1 + sum(_n_values(one, known, depth - 1) for one in below)
    return known[id(node)]


def _parts(node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return list(node.value)
    return [(one,) for one in node.value] if isinstance(node, yaml.SequenceNode) else []


def _check_content(path: Path, content: dict[Any, Any]) -> None:
    for key in _refused(content.get("hydra", {}), ALLOWED, "hydra"):
        raise _code(path, f"sets {key}")
    for entry in content.get("defaults") or []:
        for group in entry if isinstance(entry, dict) else [entry]:
            into = str(group).partition("@")[2]
            foreign = "hydra" in str(group) and not LAUNCHERS.fullmatch(str(group))
            if foreign or "hydra" in into or "$" in into:
                raise _code(path, f"chooses {group} in its defaults")


def _refused(content: Any, allowed: Any, key: str) -> Iterator[str]:  # noqa: ANN401 - yaml
    """The keys of Hydra's own that no option may set."""
    if allowed is True:
        return
    if not isinstance(content, dict):
        yield key
        return
    for name, value in content.items():
        if name in allowed:
            yield from _refused(value, allowed[name], f"{key}.{name}")
        else:
            yield f"{key}.{name}"


def _code(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} {what}, by which Hydra would run code; options are data: leave it out, type it "
        "on the command line, or put the folder into a package and type plugins=[my_package]"
    )
