"""The record of one cell of a grid: what was run, on what, what came out, and at what cost.

A record is a JSON file whose fields are those of `Record`; its table (of circuits: the curve) lies
beside it as a Parquet file, circuits or a study's tensors as safetensors. Reading records needs no
torch.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.files import replacing

# To be raised whenever a field changes its meaning.
SCHEMA = 4
RECORD, TABLE, CIRCUITS_FILE, SCORES, TENSORS, CONFIG, LOG = (
    "record.json",
    "table.parquet",
    "circuits.safetensors",
    "scores.safetensors",
    "tensors.safetensors",
    "config.yaml",
    "log.txt",
)
# What a record is about; see `Study` for all but circuits.
CIRCUITS = "circuits"


class Status(Enum):
    """How a cell ended. A skipped cell asks for what its method cannot do, and says why."""

    done = "done"
    failed = "failed"
    skipped = "skipped"


@dataclass(frozen=True)
class Record:
    """Everything about a cell but its table, circuits and tensors.

    Attributes:
        schema: version of this form.
        key: name of the record's folder: a digest of all that decides its numbers.
        kind: what it is about: circuits, or what a study says.
        status: how it ended.
        reason: why it was skipped or failed, in a line.
        names: task, method, ablation and model, as in tables.
        family: what the variants of its task have in common.
        traits: what its ablation is, whatever its class.
        config: every setting.
        created: when it ended, in UTC.
        model: what was loaded.
        n_edges: edges of the model's graph.
        data: digest of the prompts of each split.
        accuracy: the whole model's, on the test prompts.
        evaluation: per evaluation ablation, its settings.
        ends: per evaluation ablation, the metrics of the empty circuit and of the whole model.
        areas: per evaluation ablation, one number for the curve each.
        recovery: agreement with a reference circuit, where one is known.
        summary: of a study, its few numbers that sum it up.
        cost: passes, seconds and bytes of the method, and of judging what it gave.
        versions: of this package, the task, the method, and the libraries.
        machine: where it ran.
        files: SHA-256 of the files beside it.
        traceback: of a failure.
        warnings: what a reader should know.
    """

    key: str
    status: Status
    names: dict[str, str]
    config: dict[str, Any]
    created: str
    kind: str = CIRCUITS
    family: str = ""
    traits: dict[str, bool] = field(default_factory=dict)
    reason: str | None = None
    model: dict[str, Any] = field(default_factory=dict)
    n_edges: int = 0
    data: dict[str, str] = field(default_factory=dict)
    accuracy: float | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, Any] = field(default_factory=dict)
    areas: dict[str, dict[str, float]] = field(default_factory=dict)
    recovery: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    traceback: str | None = None
    warnings: list[str] = field(default_factory=list)
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write the record, atomically."""
        content = asdict(self) | {"status": self.status.value}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Record":
        """The record in a file.

        Raises:
            UserError: the file is damaged, or of another schema.
        """
        try:
            content = json.loads(path.read_text())
            schema = content["schema"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"record {path} cannot be read: {error}; delete its folder") from error
        if schema != SCHEMA:
            raise UserError(f"record {path} has schema {schema}; this version reads {SCHEMA}")
        known = {f.name for f in fields(cls)}
        if set(content) != known:
            strange = sorted(set(content) ^ known)
            raise UserError(f"record {path} is damaged: {strange[0]!r}; delete its folder")
        try:
            return cls(**{**content, "status": Status(content["status"])})
        except ValueError as error:
            raise UserError(f"record {path} is damaged: {error}; delete its folder") from error
