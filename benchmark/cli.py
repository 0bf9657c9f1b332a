"""The console command `ablation-bench`: a verb, then Hydra overrides.

Nothing heavy is imported before a verb needs it, so help and completion stay quick.
"""

import sys
from collections.abc import Callable
from importlib.resources import files
from typing import NoReturn

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from benchmark.config import build
from benchmark.errors import UserError, near

USAGE = """usage: ablation-bench VERB [key=value ...]

verbs:
  demo    ablate a random half of a model's edges under every ablation and print the loss gaps

ablation-bench VERB --help lists a verb's settings."""


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="demo")
def demo(config: DictConfig) -> None:
    """Run the demonstration."""
    from benchmark.memory import keep_freed_memory

    keep_freed_memory()
    try:
        Console().print(build(config, where="demo").run())
    except UserError as error:
        _refuse(str(error))


VERBS: dict[str, Callable[[], None]] = {"demo": demo}


def main() -> None:
    """Run the verb that the command line names; exit with 2 on a mistake of the user's."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        return
    verb = arguments[0]
    if verb not in VERBS:
        _refuse(f"{verb!r} is not a verb{near(verb, VERBS)}; see ablation-bench --help")
    _check_keys(verb, arguments[1:])
    sys.argv = [f"ablation-bench {verb}", *arguments[1:]]
    VERBS[verb]()


def _check_keys(verb: str, arguments: list[str]) -> None:
    """Refuse a misspelt setting in one line, before Hydra says it in several."""
    known = OmegaConf.create(files("conf").joinpath(f"{verb}.yaml").read_text())
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        top = key.split(".")[0]
        if equals and top.isidentifier() and top not in known:
            names = [str(name) for name in known if name not in ("defaults", "_target_")]
            _refuse(f"{verb}.{top} is not a setting{near(top, names)}; allowed: {', '.join(names)}")


def _refuse(message: str) -> NoReturn:
    # An exception would pass through Hydra, which prints a traceback; leaving quietly does not.
    sys.stderr.write(f"ablation-bench: {message}\n")
    sys.exit(2)
