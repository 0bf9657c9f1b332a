"""The cell that a record was run as."""

from typing import Any

from omegaconf import OmegaConf

from benchmark.config import build
from benchmark.records.record import Record
from benchmark.run.cell import Cell

# What records of earlier code do not say, and no number depends on.
SINCE_THEN = {"cells_per_job": 1}


def cell_of(record: Record, **changes: Any) -> Cell:  # noqa: ANN401 - settings of a cell
    """The cell, with some settings changed.

    Raises:
        UserError: what it names is no longer there.
    """
    settings = {"_target_": f"{Cell.__module__}.{Cell.__qualname__}", **SINCE_THEN}
    return build(OmegaConf.create({**settings, **record.config, **changes}), where="record")
