"""The record of one cell of a grid: what was run, on what, what came out, and at what cost.

A record is a JSON file whose fields are those of `Record`; its table (of circuits: the curve) lies
beside it as a Parquet file, circuits or a study's tensors as safetensors. Reading records needs no
torch.
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.records.form import (
    AtLeast,
    FormError,
    Has,
    Matches,
    VersionError,
    from_bytes,
    to_bytes,
)

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
# Of the digests of data, that of all that decides a task's prompts, whatever the seed.
TASK = "task"
# Of a key, as many letters as tell a reader which record it is.
SHORT = 6
# Below this accuracy of the whole model, its circuits say little about the task.
LEAST_ACCURACY = 0.5
# Of the ends of a curve, how far the whole model is above the empty circuit, with an interval, in
# the measure that faithfulness is of.
DIFFERENCE, FAITHFUL_IN = "difference", "logit_difference"
# What a record is about; see `Study` for all but circuits.
CIRCUITS = "circuits"

Name = Annotated[str, Matches(r"[^/\\\0]{1,255}", "the name of a file")]
Digest = Annotated[str, Matches("[0-9a-f]{64}", "a SHA-256 in hexadecimal digits")]
Spent = Annotated[float, AtLeast(0)]
AXES = ("task", "method", "ablation", "model")
# What tables and pictures read of the settings.
SETTINGS = ("sizes", "training_steps", "attribution_metric")
NUMBERS = ("seed", "n_train", "n_test")
Config = Annotated[dict[str, Any], Has(AXES, dict), Has(NUMBERS, int), Has(SETTINGS)]


class DamagedError(UserError):
    """A record, or a file beside it, is not what was written."""


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
        key: name of the record's folder: a digest of all that decides its numbers (`Cell.key`,
            benchmark/run/cell.py).
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
        data: digests of the prompts of each split, and of the whole task with its files.
        accuracy: the whole model's, on the test prompts.
        evaluation: per evaluation ablation, its settings.
        ends: per evaluation ablation, the metrics of the empty circuit and of the whole model, and
            how far apart they are.
        areas: per evaluation ablation, one number for the curve each.
        recovery: agreement with a reference circuit, where one is known.
        summary: of a study, its few numbers that sum it up.
        cost: passes, seconds and bytes of the method, and of judging what it gave.
        versions: of this package, the task, the method, and the libraries.
        machine: where it ran.
        files: SHA-256 of the files beside it.
        traceback: of a failure that is no `UserError`.
        warnings: what a reader should know.
    """

    key: Name
    status: Status
    names: Annotated[dict[str, str], Has(AXES)]
    config: Config
    created: str
    kind: str = CIRCUITS
    family: str = ""
    traits: dict[str, bool] = field(default_factory=dict)
    reason: str | None = None
    model: dict[str, Any] = field(default_factory=dict)
    n_edges: Annotated[int, AtLeast(0)] = 0
    data: dict[str, Digest] = field(default_factory=dict)
    accuracy: Annotated[float, AtLeast(0)] | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    areas: dict[str, dict[str, float]] = field(default_factory=dict)
    recovery: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    cost: dict[str, dict[str, Spent]] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    files: dict[Name, Digest] = field(default_factory=dict)
    traceback: str | None = None
    warnings: list[str] = field(default_factory=list)
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write the record, atomically.

        Raises:
            FormError: a field holds what it may not.
        """
        content = to_bytes(self)
        self._check()
        with replacing(path) as temporary:
            temporary.write_bytes(content)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """The record in a file.

        Raises:
            UserError: the file is damaged, or of another version.
        """
        advice = "run its command again, or delete its folder"
        try:
            record = from_bytes(cls, path.read_bytes(), SCHEMA)
            record._check()
        except OSError as error:
            raise UserError(f"record {path} cannot be read: {error.strerror or error}") from error
        except VersionError as error:
            version = _version(error.content)
            raise UserError(
                f"record {path} was written by another version ({version}): {error}; {advice}"
            ) from error
        except FormError as error:
            raise DamagedError(f"record {path} is damaged: {error}; {advice}") from error
        return record

    def _check(self) -> None:
        """Check what no field says alone: what a finished cell leaves."""
        if self.status is not Status.done:
            return
        if self.n_edges < 1:
            raise FormError("n_edges: a model has 1 or more")
        needed = (TABLE, CIRCUITS_FILE) if self.kind == CIRCUITS else (TABLE,)
        missing = [name for name in needed if name not in self.files]
        if missing:
            raise FormError(f"files: {missing[0]!r} is missing")


def _version(content: dict[str, Any]) -> str:
    versions = content.get("versions")
    known = versions.get("ablation-bench") if isinstance(versions, dict) else None
    return f"ablation-bench {known}, schema {content.get('schema')}"
