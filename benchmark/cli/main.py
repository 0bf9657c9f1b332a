"""The console command `ablation-bench`: a verb, then Hydra overrides.

Nothing heavy is imported before a verb needs it, so help and completion stay quick.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import hydra
from omegaconf import DictConfig

from benchmark.cli.gathered import gathered, noting, tell
from benchmark.cli.job_facts import is_side_by_side, job_facts
from benchmark.cli.terminal import or_refuse, refuse, show, show_whole, warn
from benchmark.cli.typed.arguments import check_arguments, given
from benchmark.cli.typed.own import search_path, use_config_dir, use_typed
from benchmark.config import build
from benchmark.errors import near
from benchmark.signals import leave_if_signalled, leave_on_signals

USAGE = """usage: ablation-bench VERB [key=value ...]

verbs:
  run          find circuits and evaluate them, or do a study: one cell, or with -m a grid of them
  validate     list the cells of the same command and their state; runs nothing
  verify KEY   run a record again and compare every number
  leaderboard  methods by tasks and models for one score, and studies, from the records
  figures      all pictures, from the records
  claims       what papers claim, and whether it holds, from the records that ship or your own
  report       a page for a browser to look around in, from the records
  export KEY   a circuit of a record for Neuronpedia, networkx or Graphviz
  submit       a folder for the leaderboard of the MIB circuit track, from the records
  ablations    ablate a random half of a model's edges under every ablation and print the loss gaps
  methods      list methods, with their cost and the ablations that they work under
  models       list model families, with what each has, and models by name, with their edges
  tasks        list tasks, with the accuracies on them of the models that ship
  tasks show   print prompts of a task beside what a model says to them (task=ioi model=toy_gpt2)

ablation-bench VERB --help lists a verb's settings. plugins=[my_package] lets any verb use code and
options of your own."""
CONFIG_PATH = "pkg://conf"
# Verbs that run models; the others only read records.
COMPUTING = ("ablations", "tasks")
# Verbs with settings whose first word is a record's key.
WITH_A_KEY = ("export",)


@dataclass(frozen=True)
class Verb:
    """A verb: the config file that lists its settings, if it has one, and what it runs."""

    settings: str | None
    run: Callable[[], None]


@hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name="config")
def run_cells(config: DictConfig) -> None:
    """Run one cell of a grid."""
    from benchmark.run.grid.gpus import take_gpu
    from benchmark.run.grid.jobs import run_job

    with noting():
        # Whoever names another device knows where it is to run.
        if is_side_by_side() and config.model.get("device") == "auto":
            take_gpu()
        run_job(config, *job_facts())


@hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name="config")
def validate_cells(config: DictConfig) -> None:
    """Note the state of one cell of a grid."""
    from benchmark.run.grid.jobs import validate_job

    with noting():
        validate_job(config, *job_facts())


def _printing(settings: str) -> Callable[[], None]:
    """A verb that builds what a config file describes, runs it and prints the result."""

    @hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name=settings)
    def verb(config: DictConfig) -> None:
        _build_and_run(config, where=settings)

    return verb


def run() -> None:
    """Run all cells, print what became of them, and exit with 1 if one failed."""
    # Without the extra `slurm` there are no launchers to replace.
    with suppress(ModuleNotFoundError):
        import_module("benchmark.cli.packing").use_packing()
    gathered(run_cells, Path(given(sys.argv[1:], "results_dir", "results")))


def validate() -> None:
    """Print the state of all cells; exit with 1 if one cannot be run."""
    import tempfile

    from benchmark.cli.listing import list_here
    from benchmark.run.grid.jobs import with_state
    from benchmark.run.grid.known_grids import known_grid, remember_grid

    # Where options lie is ours to say; of the user's own only `plugins` and flags tell.
    typed = [text for text in sys.argv[1:] if text != search_path()]
    known = known_grid(typed)
    if known is not None:
        sys.exit(tell([with_state(entry) for entry in known]))
    list_here()
    with tempfile.TemporaryDirectory() as folder:
        gathered(validate_cells, Path(folder), lambda notes: remember_grid(typed, notes))


def verify() -> None:
    """Run a record again and compare; exit with 1 if a number differs, or the record is damaged."""
    from benchmark.records.record import DamagedError
    from benchmark.run.verify import verify_record

    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + "\n")
        return
    keys = [argument for argument in sys.argv[1:] if not argument.startswith("results_dir=")]
    if len(keys) != 1 or keys[0].startswith("-") or "=" in keys[0]:
        refuse("verify takes one key: ablation-bench verify KEY results_dir=results")
    results_dir = Path(given(sys.argv[1:], "results_dir", "results"))

    def agrees() -> bool:
        try:
            same, table = verify_record(results_dir, keys[0])
        except DamagedError as error:
            warn(str(error))
            return False
        show(table)
        return same

    sys.exit(0 if or_refuse(agrees) else 1)


def list_tasks() -> None:
    """Print the tables of tasks."""
    from benchmark.cli.lists.tasks import tasks_and_accuracies

    if _nothing_but_help("tasks", "; did you mean ablation-bench tasks show?"):
        show(tasks_and_accuracies())


def list_models() -> None:
    """Print the tables of model families and of models."""
    from benchmark.cli.lists.models import families_and_models

    if _nothing_but_help("models", ""):
        show(families_and_models())


def list_methods() -> None:
    """Print the table of methods."""
    from benchmark.cli.lists.methods import methods

    if _nothing_but_help("methods", ""):
        show(methods())


def _nothing_but_help(verb: str, hint: str) -> bool:
    """Whether a verb that takes no settings got none; help is printed here."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE + "\n")
        return False
    if sys.argv[1:]:
        refuse(f"{verb} takes no {sys.argv[1]!r}{hint}")
    return True


VERBS = {
    "run": Verb("config", run),
    "validate": Verb("config", validate),
    "verify": Verb(None, verify),
    "leaderboard": Verb("leaderboard", _printing("leaderboard")),
    "figures": Verb("figures", _printing("figures")),
    "claims": Verb("claims", _printing("claims")),
    "report": Verb("report", _printing("report")),
    "export": Verb("export", _printing("export")),
    "submit": Verb("submit", _printing("submit")),
    "ablations": Verb("ablations", _printing("ablations")),
    "methods": Verb(None, list_methods),
    "models": Verb(None, list_models),
    "tasks": Verb(None, list_tasks),
    "tasks show": Verb("tasks", _printing("tasks")),
}


def main() -> None:
    """Run the verb that the command line names; exit with 2 on a mistake of the user's."""
    leave_on_signals()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        return
    n_words = 2 if " ".join(arguments[:2]) in VERBS else 1
    name, typed = " ".join(arguments[:n_words]), arguments[n_words:]
    if name not in VERBS:
        refuse(f"{name!r} is not a verb{near(name, VERBS)}; see ablation-bench --help")
    verb = VERBS[name]
    if name in WITH_A_KEY and typed and "=" not in typed[0] and not typed[0].startswith("-"):
        # A key may look like a number, which Hydra would make it.
        typed = [f"key='{typed[0]}'", *typed[1:]]
    if name in WITH_A_KEY and not any(word.startswith(("key=", "-")) for word in typed):
        refuse(f"{name} takes one key: ablation-bench {name} KEY results_dir=results")
    settings = verb.settings
    rest = or_refuse(lambda: use_typed(typed, settings))
    if settings is not None:
        rest = [*or_refuse(lambda: check_arguments(settings, rest)), search_path()]
    sys.argv = [f"ablation-bench {name}", *rest]
    # What is started to run cells looks into the user's folder no more than the command does.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        verb.run()
    finally:
        leave_if_signalled()


def _build_and_run(config: DictConfig, where: str) -> None:
    use_config_dir()
    if where in COMPUTING:
        from benchmark.memory import keep_freed_memory

        keep_freed_memory()
    if not show_whole(or_refuse(lambda: build(config, where=where).run())):
        sys.exit(1)
