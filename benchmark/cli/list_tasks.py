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
    accuracy = {
        (score["task"], name): f"{score['accuracy']:.1%}"
        for name, card in cards.items()
        for score in card["scores"]
    }
    prompts = {
        score["task"]: str(score["n_prompts"])
        for card in cards.values()
        for score in card["scores"]
    }
    table = Table("task", "prompts", *cards, title="Accuracy of the zoo's models on test prompts")
    for task, n_prompts in prompts.items():
        table.add_row(task, n_prompts, *(accuracy.get((task, name), "") for name in cards))
    return table


def first_comment(group: str, name: str) -> str:
    """What an option is, as the first line of its yaml file says."""
    return option_text(group, name).splitlines()[0].removeprefix("# ")
