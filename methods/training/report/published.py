"""What Ferrao et al. 2025 published: 18 runs and one baseline, of which a table shows nine.

The numbers are exact, from the output of notebooks in the authors' repository. Edges are those
that ACDC keeps at 0.03 nats of 23,981; mean |w| counts embeddings and the unembedding.
"""

from importlib.resources import files

import pandas as pd


def published_runs() -> pd.DataFrame:
    """A row for each run: gates, k, edges, sae_l0, sae_ce_score, perplexity, mean_weight."""
    with files("methods.training.report").joinpath("ferrao_2025.csv").open() as file:
        return pd.read_csv(file)


def published_table() -> pd.DataFrame:
    """Means over the runs of each kind and k, with the range where there are several."""
    rows = {}
    runs = published_runs().assign(k=lambda table: table["k"].astype("Int64"))
    names = [
        "baseline" if gates == "none" else f"{gates} k={k}"
        for gates, k in zip(runs["gates"], runs["k"], strict=True)
    ]
    for name, some in runs.groupby(names, sort=False):
        rows[name] = {
            "runs": str(len(some)),
            **{
                column: _with_range(some[column].dropna().tolist(), form)
                for column, form in (
                    ("perplexity", ".2f"), ("edges", ".0f"), ("sae_l0", ".2f"),
                    ("sae_ce_score", ".2f"), ("mean_weight", ".2f"),
                )
            },
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("published")


def _with_range(values: list[int] | list[float], form: str) -> str:
    mean = format(sum(values) / len(values), form)
    if len(values) == 1:
        return mean
    return f"{mean} [{min(values):{form}}, {max(values):{form}}]"
