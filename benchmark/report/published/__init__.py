"""Numbers that papers published, with where each was read; never mixed with our own.

`optimal_ablation.csv` holds the circuits of GPT-2 small in Li & Janson 2024 (arXiv 2409.09951):
edges and loss gap in nats, by task, ablation and method. "reference" is the manual circuit.
"""

from importlib.resources import files

import pandas as pd


def published_curves() -> pd.DataFrame:
    """All published points: task, ablation, method, edges, loss_gap, provenance."""
    with files(__name__).joinpath("optimal_ablation.csv").open() as file:
        return pd.read_csv(file)
