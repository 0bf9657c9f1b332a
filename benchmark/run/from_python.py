"""A cell run from Python, as `ablation-bench run` does it from what is typed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from benchmark.config import configured_alone, option_text
from benchmark.errors import UserError
from benchmark.plugins import use_plugins
from benchmark.records.record import TABLE, Record, Status
from benchmark.run import runner
from benchmark.run.cell import Cell


@dataclass(frozen=True, eq=False)
class CellResults:
    """What a cell left.

    Attributes:
        record: everything but the table and the circuits.
        path: the folder of the record.
    """

    record: Record
    path: Path

    @property
    def table(self) -> pd.DataFrame:
        """The curve of the circuits, a row for each and evaluation ablation; or a study's table."""
        return pd.read_parquet(self.path / TABLE)


def run_cell(
    task: str = "ioi",
    method: str = "eap",
    ablation: str = "optimal",
    model: str | Path = "toy_gpt2",
    changes: dict[str, dict[str, Any]] | None = None,
    **settings: Any,  # noqa: ANN401 - of many types
) -> CellResults:
    """Run a cell, unless its record is there.

    Args:
        task: an option of conf/task.
        method: an option of conf/method.
        ablation: an option of conf/ablation.
        model: an option of conf/model, a directory, or a repository of the hub.
        changes: settings of these options, by group: {"method": {"absolute": False}}.
        settings: of conf/config.yaml: n_train=50.

    Raises:
        UserError: an option or a setting does not exist, or the cell cannot be run.
    """
    use_plugins(*settings.get("plugins", ()))
    changes = changes or {}
    names = {"model": str(model), "task": task, "method": method, "ablation": ablation}
    options = {
        group: OmegaConf.merge(OmegaConf.create(option_text(group, name)), changes.get(group, {}))
        for group, name in names.items()
    }
    cell: Cell = configured_alone(
        "config", **{"names": names, "experiment_name": None} | options | settings
    )
    record = runner.run_cell(cell).record
    if record.status is not Status.done:
        raise UserError(f"{cell.title} was {record.status.value}: {record.reason}")
    return CellResults(record, cell.folder.path)
