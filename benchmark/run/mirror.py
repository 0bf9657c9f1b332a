"""The mirror of a finished record on Weights & Biases: the local record comes first and counts.

The run's id is the record's key, its group the experiment; its files lie in the folder of results.
A record that is made again has no second run: online it continues the first one, and what waits
offline to be sent of the first is put aside. What goes wrong here is written to the record's folder
and never fails the cell. The same command mirrors what is not mirrored yet.
"""

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL.Image import Image
from PIL.Image import open as open_image

from benchmark.digests import digest
from benchmark.files import replacing
from benchmark.records.record import RECORD, SHORT, TABLE, Record
from benchmark.report.frame import results_of
from benchmark.run.cell import Cell

log = logging.getLogger("benchmark")
ERROR_FILE = "tracking_error.txt"
LONGEST_TAG = 64  # of Weights & Biases


def mirror(record: Record, cell: Cell) -> None:
    """Send a record's settings, curve, pictures, tables, files and summary, unless they were."""
    marker = cell.folder.path / f"tracked_{cell.tracking}.txt"
    if marker.exists():
        return
    try:
        _send(record, cell)
        _write(marker, f"{record.created}\n")
    except Exception as error:
        log.warning("tracking=%s failed (%s); the record is whole", cell.tracking, error)
        _write(cell.folder.path / ERROR_FILE, f"{type(error).__name__}: {error}\n")


def _write(path: Path, text: str) -> None:
    """Write what is good to know but not part of the record."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(text)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error)


def _send(record: Record, cell: Cell) -> None:
    import wandb

    curve = pd.read_parquet(cell.folder.path / TABLE)
    cell.folder.mirrors_aside(record.created)
    run = wandb.init(
        # A service that another run has started would take a relative path from its own folder.
        dir=Path(cell.results_dir).absolute(),
        project="ablation-bench",
        id=record.key,
        name=cell.title,
        group=cell.experiment_name or "no experiment",
        job_type=record.names["method"],
        tags=sorted({_tag(name) for name in record.names.values()}),
        config=record.config,
        mode="offline" if cell.tracking == "offline" else "online",
        resume="allow",
        settings=wandb.Settings(x_transaction_log_flush_interval=1),
    )
    try:
        run.log({"curve": wandb.Table(dataframe=curve), **_shown(record, cell)})
        run.summary.update(_summary(record))
        run.log_artifact(_artifact(record, cell))
    finally:
        run.finish()


def _tag(name: str) -> str:
    """A name, cut where it is longer than a tag may be, but never to that of another."""
    end = f"~{digest(name)[:8]}"
    return name if len(name) <= LONGEST_TAG else name[: LONGEST_TAG - len(end)] + end


def _shown(record: Record, cell: Cell) -> dict[str, Any]:
    """Pictures and tables, by what they show: the same names in every run."""
    import wandb

    from benchmark.report.kinds import figures_of, tables_of

    results = results_of([(cell.folder, record)])
    own = {*results.labels[record.key].values(), f"seed{cell.seed}", record.key[:SHORT]}

    def name(words: tuple[str, ...]) -> str:
        return " ".join(word for word in words if word not in own)

    pictures = {name(one.words): wandb.Image(_pixels(one.figure)) for one in figures_of(results)}
    tables = {
        name(one.words): wandb.Table(dataframe=one.table.reset_index())
        for one in tables_of(results)
    }
    return pictures | tables


def _artifact(record: Record, cell: Cell) -> Any:  # noqa: ANN401 - of wandb, imported late
    """The record's files: the circuits, scores or tensors, the table, and the settings."""
    import wandb

    found = wandb.Artifact(f"{record.kind}-{record.key}", type=record.kind, metadata=record.names)
    for name in (*record.files, RECORD):
        found.add_file(str(cell.folder.path / name), name=name)
    return found


def _pixels(figure: Figure) -> Image:
    written = BytesIO()
    figure.savefig(written, format="png", dpi=120)
    return open_image(written)


def _summary(record: Record) -> dict[str, float]:
    areas = {
        f"{name}/{ablation}": value
        for ablation, found in record.areas.items()
        for name, value in found.items()
    }
    cost = {
        f"cost/{part}/{name}": value
        for part, spent in record.cost.items()
        for name, value in spent.items()
    }
    accuracy = {} if record.accuracy is None else {"accuracy": record.accuracy}
    return {**areas, **record.recovery, **record.summary, **cost, **accuracy}
