"""The gates of a saved model, which its export leaves out, put beside it again."""

from pathlib import Path
from typing import Any

from benchmark.pretraining.self_ablation.model import SelfAblatingModel
from benchmark.pretraining.self_ablation.winners import Soft, Winners
from benchmark.tensors import read_tensors
from benchmark.zoo.cards import read_card

GATES_FILE = "gates.safetensors"


def with_gates(directory: Path, model: Any) -> SelfAblatingModel | None:  # noqa: ANN401
    """A Hugging Face model of a directory with its gates; None if the directory has none.

    Raises:
        UserError: its card, or the file of its gates, is damaged.
    """
    if not (directory / GATES_FILE).is_file():
        return None
    made = read_card(directory)["settings"]
    winners = Winners(Soft(made["soft"]), made["temperature"], made["hard"])
    ks = made["k_attention"], made["k_neurons"]
    gated = SelfAblatingModel(model, made["gates"], winners, *ks)
    gated.gates.load_state_dict(read_tensors(directory / GATES_FILE)[0])
    return gated.requires_grad_(False).to(model.device)
