"""Tables of all tasks and of how well models do them, from yaml files and the zoo's cards.

Nothing heavy is imported, so the tables appear at once.
"""

from typing import Any

from rich.console import Group
from rich.table import Table

from benchmark.config import configured_names, option_text
from benchmark.zoo.cards import read_card, zoo_directory, zoo_names


def tasks_and_accuracies() -> Group:
    """The table of tasks, and the zoo's accuracies."""
    cards = {name: read_card(path) for name in zoo_names() if (path := zoo_directory(name))}
    return Group(_tasks(), _accuracies(cards))


def _tasks() -> Table:
    table = Table("task", "what", title="Tasks")
    for name in configured_names("task"):
        table.add_row(name, first_comment("task", name))
    return table


def _accuracies(cards: dict[str, dict[str, Any]]) -> Table:
    """A row for each task; a column for each model would outgrow any terminal."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, card in cards.items():
        for score in card["scores"]:
            found = rows.setdefault((score["task"], str(score["n_prompts"])), [])
            found.append(f"{name} {score['accuracy']:.1%}")
    table = Table("task", "prompts", "models", title="Accuracy of the zoo's models on test prompts")
    for task, found in rows.items():
        table.add_row(*task, ", ".join(found))
    return table


def first_comment(group: str, name: str) -> str:
    """What an option is, as the first line of its yaml file says."""
    return option_text(group, name).splitlines()[0].removeprefix("# ")
