"""Numbers that papers published, with where each was read; never mixed with our own.

`optimal_ablation.csv` holds the circuits of GPT-2 small in Li & Janson 2024 (arXiv 2409.09951):
edges and loss gap in nats, by task, ablation and method. "reference" is the manual circuit.

`li_2024_components.csv` holds its numbers of single components: a statistic of an ablation, alone
or against another (`other`), or one component's loss gap in nats. What the paper calls mean,
resample and optimal there has values per position. `li_2024_tracing.csv` holds the largest effects
of its causal tracing.

Every other file holds one number a row, in the columns of `COLUMNS`, under the names of our tasks,
methods, models and ablations where there are such; "eap component" scores components with the rule
of `eap`. A size with a point is a share of the edges, any other a number of them. `ablation` is
what absent edges carried in the search, empty where there was none or it is not said (MIB evaluates
under counterfactual ablation throughout); `objective` is "kl", or "task" for the task's own metric.
`family` is what a task's variants have in common; "all" stands for a mean over the cells that a
method has. "agreement" of Hanna et al. has many constructions, and MIB's "arithmetic" is the mean
of addition and subtraction. Syed et al. 2023 (arXiv 2310.10348) print no number, so `eap` is here
as later papers measured it.
"""

from collections.abc import Mapping
from importlib.resources import files

import pandas as pd

COLUMNS = (
    "source", "where", "model", "task", "family", "method", "ablation", "objective", "metric",
    "size", "value", "provenance", "note",
)  # fmt: skip
FILES = (
    "conmy_2023.csv", "hanna_2024.csv", "bhaskar_2024.csv", "gu_2025.csv", "mueller_2025.csv",
    "later.csv",
)  # fmt: skip
# Where a number was read; the last kind is never shown as a paper's own.
PROVENANCE = {"P": "paper", "R": "authors' result file", "3": "third party"}
COMPONENTS, COMPONENT_COLUMNS = (
    "li_2024_components.csv",
    ("source", "where", "model", "task", "ablation", "other", "metric", "component", "value",
     "provenance", "note"),
)  # fmt: skip
TRACING, TRACING_COLUMNS = (
    "li_2024_tracing.csv",
    ("source", "where", "model", "restored", "window", "tokens", "ablation", "layer", "value",
     "provenance", "note"),
)  # fmt: skip
# Letters are those of each file; here R is no result file.
COMPONENT_PROVENANCE = {
    "P": "paper, as others quote it", "R": "read off a picture",
    "H": "exact, from the history of the authors' repository",
}  # fmt: skip
# The model of `published_points`.
CURVES_OF = "gpt2"
# Columns that a row may leave empty.
OPTIONAL = ("ablation", "objective", "size", "other", "component", "provenance", "note")


def published_points() -> pd.DataFrame:
    """All published points: task, ablation, method, size, loss_gap, provenance."""
    with files("benchmark.report.published").joinpath("optimal_ablation.csv").open() as file:
        return pd.read_csv(file)


def published_curves(task: str, model: str | None, ablation: str) -> pd.DataFrame:
    """The published points of a task and an ablation; of `CURVES_OF` alone are there any."""
    points = published_points()
    same = (points["task"] == task) & (points["ablation"] == ablation)
    return points[same & (model == CURVES_OF)]


def published_scores() -> pd.DataFrame:
    """All other published numbers, in the columns of `COLUMNS`; `value` alone is a number.

    Raises:
        ValueError: a file has other columns, or a row without source, value or provenance.
    """
    return pd.concat([_read(name) for name in FILES], ignore_index=True)


def published_components() -> pd.DataFrame:
    """The published numbers of single components, in the columns of `COMPONENT_COLUMNS`.

    Raises:
        ValueError: the file has other columns, or a row lacks what it needs.
    """
    return _read(COMPONENTS, COMPONENT_COLUMNS, COMPONENT_PROVENANCE)


def published_effects() -> pd.DataFrame:
    """The published effects of causal tracing, the largest of each group of layers.

    Layers are numbered as there, where the first is dropped: 0 is layer 1 of the model.

    Raises:
        ValueError: the file has other columns, or a row lacks what it needs.
    """
    rows = _read(TRACING, TRACING_COLUMNS, COMPONENT_PROVENANCE)
    return rows.astype({"window": int, "layer": int})


def published_faithfulness(
    task: str,
    model: str | None,
    evaluation: str,
    n_edges: int,
    more: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The published points of a task's normalised faithfulness: method, model, edges, faithfulness.

    Args:
        task: name of a task.
        model: the option of the model that they are of; of none there are no points.
        evaluation: what absent edges carried.
        n_edges: edges of our model, for sizes given as shares.
        more: further numbers, in the columns of `COLUMNS`.
    """
    rows = pd.concat([published_scores(), more], ignore_index=True)
    same = (rows["task"] == task) & (rows["ablation"] == evaluation)
    rows = rows[same & (rows["metric"] == "faithfulness")]
    rows = rows[rows["model"] == model]
    sizes = [float(size) * (n_edges if "." in size else 1) for size in rows["size"]]
    names = rows["method"] + rows["objective"].map({"kl": " kl", "task": ""})
    return pd.DataFrame(
        {"method": names, "model": rows["model"], "size": sizes, "faithfulness": rows["value"]}
    )


def _read(
    name: str,
    columns: tuple[str, ...] = COLUMNS,
    provenance: Mapping[str, str] = PROVENANCE,
) -> pd.DataFrame:
    with files("benchmark.report.published").joinpath(name).open() as file:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)
    if tuple(rows.columns) != columns:
        raise ValueError(f"{name} has the columns {list(rows.columns)}, not {list(columns)}")
    for column in columns:
        if column not in OPTIONAL and (rows[column] == "").any():
            raise ValueError(f"{name} has a row without {column}")
    strange = set(rows["provenance"]) - set(provenance)
    if strange:
        *others, last = provenance
        allowed = f"{', '.join(others)} or {last}"
        raise ValueError(f"{name} has the provenance {min(strange)!r}, not {allowed}")
    return rows.assign(value=rows["value"].astype(float))
