"""What the leaderboard of the MIB circuit track takes (Mueller et al. 2025, arXiv 2504.13151).

A submission has a folder for each task and model. In it are nine circuits, one within each share
of the edges; folders of at least two tasks and two models are needed.
"""

from collections.abc import Collection

from benchmark.records.record import Record
from benchmark.statistics.areas import MIB_SHARES

# The whole model needs no file.
BOARD_SHARES = MIB_SHARES[:-1]
FEWEST_TASKS, FEWEST_MODELS = 2, 2
# What the board's own check reads of a file.
LARGEST_FILE_MB = 50
MODELS = {
    "gpt2": "gpt2",
    "gpt2-small": "gpt2",
    "openai-community/gpt2": "gpt2",
    "Qwen/Qwen2.5-0.5B": "qwen2.5",
    "google/gemma-2-2b": "gemma2",
    "meta-llama/Llama-3.1-8B": "llama3",
}
# The models that the board has of each task. Hyphens: an underscore ends the task's name.
BOARD = {
    "ioi": ("gpt2", "qwen2.5", "gemma2", "llama3"),
    "mcqa": ("qwen2.5", "gemma2", "llama3"),
    "arithmetic-addition": ("llama3",),
    "arithmetic-subtraction": ("llama3",),
    "arc-easy": ("gemma2", "llama3"),
    "arc-challenge": ("llama3",),
}
# By the names that our tasks give themselves; one's own data may be named as on the board.
TASKS = {
    "ioi_io_flip": "ioi",
    "colour_copying": "mcqa",
    "arithmetic_addition_mib": "arithmetic-addition",
    "arithmetic_subtraction_mib": "arithmetic-subtraction",
    "arithmetic_addition": "arithmetic-addition",
    "arithmetic_subtraction": "arithmetic-subtraction",
    **{task: task for task in BOARD},
}


def board_cell(record: Record) -> tuple[str, str] | None:
    """The board's names of a record's task and model, or None if the board has no such cell."""
    task = TASKS.get(record.config["task"]["name"])
    model = MODELS.get(record.config["model"]["name"])
    if task is None or model is None or model not in BOARD[task]:
        return None
    return task, model


def board_cells() -> list[str]:
    """The folders of all cells that the board has."""
    return [f"{task}_{model}" for task, models in BOARD.items() for model in models]


def lacking(cells: Collection[tuple[str, str]]) -> str | None:
    """Why the board will not take these cells of tasks and models, in a sentence; None if it will.

    It takes no fewer than two tasks and two models, so that no submission is trivial.
    """
    tasks, models = (sorted({cell[place] for cell in cells}) for place in (0, 1))
    if len(tasks) >= FEWEST_TASKS and len(models) >= FEWEST_MODELS:
        return None
    return (
        f"MIB's board takes {FEWEST_TASKS} tasks and {FEWEST_MODELS} models or more; this has "
        f"the tasks {', '.join(tasks) or 'none'} and the models {', '.join(models) or 'none'}; "
        f"run more of {', '.join(board_cells())}"
    )
