"""Records of single components, each under one ablation, joined into one set of loss gaps.

Only what was measured on the same prompts of the same model can be joined: ratios, correlations
and paired differences go prompt by prompt. The prompts of several seeds stand side by side, so a
mean over prompts is one over seeds too.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from benchmark.errors import UserError
from benchmark.records.record import TASK, Record
from benchmark.report.comparable import refuse_differences
from benchmark.report.frame import Results
from benchmark.report.layout.looks import ablation_place

RUN_ALIKE = "run them alike, or choose one experiment_name"


@dataclass(frozen=True, eq=False)
class Joined:
    """The loss gaps of all components of a model on a task, under several ablations.

    Attributes:
        task: its label.
        model: its label.
        components: component, kind (input, head or mlp) and layer; the input comes first.
        gaps: by ablation, in nats.
        traits: by ablation, what it is; see `benchmark.ablations.contract.Traits`.
        n_seeds: how many seeds the prompts are of.
    """

    task: str
    model: str
    components: pd.DataFrame
    gaps: dict[str, Float[np.ndarray, "components prompts"]]
    traits: dict[str, dict[str, bool]]
    n_seeds: int

    @cached_property
    def means(self) -> pd.DataFrame:
        """The loss gap in nats of each component (rows) under each ablation (columns)."""
        means = {name: gaps.mean(1, dtype=np.float64) for name, gaps in self.gaps.items()}
        return pd.DataFrame(means, index=pd.Index(self.components["component"]))

    @property
    def are_nodes(self) -> Bool[np.ndarray, " components"]:
        """Which are heads and MLPs, the components that the paper's statistics are over."""
        return (self.components["kind"] != "input").to_numpy()

    @property
    def means_of_nodes(self) -> pd.DataFrame:
        """The means of heads and MLPs."""
        return self.means[self.are_nodes]

    @property
    def optimal(self) -> str | None:
        """The optimal ablation of the paper's section 2: per position, if there is one."""
        found = [name for name, traits in self.traits.items() if bounds_others(traits)]
        return max(found, key=lambda name: self.traits[name]["by_position"], default=None)

    @property
    def words(self) -> str:
        """What the gaps are of, for titles."""
        n_prompts = next(iter(self.gaps.values())).shape[1]
        seeds = "1 seed" if self.n_seeds == 1 else f"{self.n_seeds} seeds"
        return f"{self.task}, {self.model} ({n_prompts:,} prompts, {seeds})"


def bounds_others(traits: dict[str, bool]) -> bool:
    """Whether an ablation is that of the best constants, below which none of constants can go."""
    return traits["total"] and traits["trained"]


def joined(results: Results) -> list[Joined]:
    """All tasks and models, each with every ablation that it was run under.

    Raises:
        UserError: records that belong together were run differently, or one is missing.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in results.done:
        label = results.labels[record.key]
        groups[label["task"], label["model"]].append(record)
    return [_of_one(results, *place, records) for place, records in sorted(groups.items())]


def _of_one(results: Results, task: str, model: str, records: list[Record]) -> Joined:
    refuse_differences(results, ((record.key, _shared(record)) for record in records), RUN_ALIKE)
    cells: dict[str, dict[int, Record]] = defaultdict(dict)
    for record in records:
        seeds = cells[results.labels[record.key]["ablation"]]
        twin = seeds.setdefault(record.config["seed"], record)
        if twin is not record:
            raise UserError(
                f"records {twin.key} and {record.key} of {task} on {model} are of one ablation and "
                "seed, run with different settings; delete one, or choose one experiment_name"
            )
    names = sorted(cells, key=ablation_place)
    seeds = _shared_seeds(task, model, cells)
    keys = {name: [cells[name][seed].key for seed in seeds] for name in names}
    gaps = {
        name: np.concatenate([results.tensor(key, "loss_gap") for key in keys[name]], axis=1)
        for name in names
    }
    rows = results.tables[results.tables["key"] == records[0].key]
    components = rows[["component", "kind", "layer"]].reset_index(drop=True)
    traits = {name: cells[name][seeds[0]].traits for name in names}
    return Joined(task, model, components, gaps, traits, len(seeds))


def _shared(record: Record) -> dict[tuple[Any, ...], Any]:
    """All that records must share to be joined."""
    return {
        (record.config["seed"], "prompts"): record.data,
        ("task data",): record.data.get(TASK),
        ("model files",): record.model["files"],
        ("versions of task and method",): [record.versions[k] for k in ("task", "method")],
        ("paper_compat",): record.config["method"]["paper_compat"],
        ("keep_first",): record.config["ablation"]["keep_first"],
    }


def _shared_seeds(task: str, model: str, cells: dict[str, dict[int, Record]]) -> list[int]:
    """The seeds, which must be those of every ablation."""
    every = sorted({seed for records in cells.values() for seed in records})
    for name, records in cells.items():
        for seed in every:
            if seed not in records:
                raise UserError(
                    f"ablation={name} seed={seed} of {task} on {model} is missing, where another "
                    f"ablation has it: run it, {RUN_ALIKE.removeprefix('run them alike, ')}"
                )
    return every
