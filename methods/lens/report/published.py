"""What Li & Janson 2024 published of lenses: their loss by layer, on models of GPT-2's family."""

from importlib.resources import files

import pandas as pd

PROVENANCE = {"H": "exact, from the history of the authors' repository", "R": "read off a picture"}


def published_losses(model: str) -> pd.DataFrame:
    """The published losses on a model: lens, layer, loss (nats), source, where, provenance.

    Args:
        model: the Hugging Face repository that a record names.
    """
    with files("methods.lens.report").joinpath("li_2024.csv").open() as file:
        rows = pd.read_csv(file)
    return rows[rows["model"] == model.rpartition("/")[2]]
