"""One cell of a grid: a task, a method, an ablation and a model, with everything they are set to.

The cell's key is a digest of all that decides its numbers: the settings, the versions of the task
and the method, the weights of a local model, files that a method reads, and the seed; not where
it runs or is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from benchmark.ablations.contract import Ablation, is_trained
from benchmark.config import build, configured
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.method.circuits import CircuitMethod, ReadsFiles
from benchmark.method.study import Study
from benchmark.metric import Metric
from benchmark.models.choice import ModelChoice, files_digest
from benchmark.plugins import use_plugins
from benchmark.prompts.task import Task
from benchmark.records.record import CIRCUITS, SCHEMA
from benchmark.records.store import Folder, checked_experiment
from benchmark.references.circuits import published_digest
from benchmark.tracking import check_mode

KEY_LENGTH = 16


@dataclass(frozen=True)
class Cell:
    """Settings of `ablation-bench run`; see conf/config.yaml."""

    model: dict[str, Any]
    task: dict[str, Any]
    method: dict[str, Any]
    ablation: dict[str, Any]
    names: dict[str, str]
    attribution_metric: str | None
    evaluate_under: list[str] | None
    constants: dict[str, Any]
    sizes: list[Any]
    training_steps: int | None
    n_train: int
    n_test: int
    seed: int
    experiment_name: str | None
    results_dir: str
    tracking: str
    overwrite: bool
    fail_fast: bool
    report: bool
    threads: int | None
    plugins: list[str]

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded, and allow the user's packages."""
        use_plugins(*self.plugins)
        check_mode(self.tracking)
        if self.experiment_name is not None:
            checked_experiment(self.experiment_name)
        for name, least in (("n_train", 1), ("n_test", 2)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)} must be {least} or more")
        for name in ("threads", "training_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be 1 or more")
        for size in self.sizes:
            whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
            if not whole and not (isinstance(size, float) and 0 <= size <= 1):
                raise UserError(
                    f"sizes has {size!r}; give numbers of edges (100), or shares of all edges "
                    "from 0.0 to 1.0"
                )

    @cached_property
    def model_choice(self) -> ModelChoice:
        """Which model."""
        return _built(self.model, "model")

    @cached_property
    def model_files(self) -> str | None:
        """A digest of the files of a local model."""
        return files_digest(self.model_choice.name)

    @cached_property
    def built_task(self) -> Task:
        """The task."""
        return _built(self.task, "task")

    @cached_property
    def built_method(self) -> CircuitMethod | Study:
        """The method."""
        return _built(self.method, "method")

    @property
    def kind(self) -> str:
        """What the record is about: circuits, or what a study says."""
        method = self.built_method
        return method.kind if isinstance(method, Study) else CIRCUITS

    @cached_property
    def built_ablation(self) -> Ablation:
        """The ablation that the method works with."""
        return self._with_constants(_built(self.ablation, "ablation"))

    @cached_property
    def evaluation(self) -> dict[str, Ablation]:
        """The ablations that circuits are evaluated under, by name."""
        own = self.names["ablation"]
        return {
            name: self.built_ablation
            if name == own
            else self._with_constants(configured("ablation", name))
            for name in self.evaluate_under or [own]
        }

    def _with_constants(self, ablation: Ablation) -> Ablation:
        """The ablation, with the cell's recipe for constants if it trains any."""
        if not is_trained(ablation):
            return ablation
        target = f"{type(ablation).__module__}.{type(ablation).__qualname__}"
        settings = {"_target_": target, **asdict(cast(Any, ablation))}
        return _built(settings | self.constants, "constants")

    @cached_property
    def metric_name(self) -> str:
        """The metric that attribution methods attribute: the task's own, unless one is set."""
        return self.attribution_metric or self.built_task.metric

    @cached_property
    def built_metric(self) -> Metric:
        """That metric."""
        return configured("metric", self.metric_name)

    def sizes_of(self, graph: ComputationalGraph) -> list[int]:
        """The sizes in edges, smallest first; shares are rounded down, as in MIB.

        Raises:
            UserError: a size is larger than the graph.
        """
        sizes = {
            size if isinstance(size, int) else int(size * graph.n_edges) for size in self.sizes
        }
        if sizes and max(sizes) > graph.n_edges:
            raise UserError(
                f"sizes has {max(sizes)} edges; {self.model_choice.name} has {graph.n_edges:,} "
                "(write a share with a point: 0.5, 1.0)"
            )
        return sorted(sizes)

    @cached_property
    def key(self) -> str:
        """The name of the record's folder."""
        choice = self.model_choice
        decides = {
            "schema": SCHEMA,
            "model": [choice.name, choice.revision, choice.dtype, self.model_files],
            "references": published_digest(self.built_task.family),
            "task": self.built_task.fingerprint(),
            "method": [self.method, self.built_method.version, *self._read_by_the_method()],
            "ablation": _described(self.built_ablation),
            "metric": [self.metric_name, _described(self.built_metric)],
            "evaluation": {
                name: _described(ablation) for name, ablation in self.evaluation.items()
            },
            "training_steps": self.training_steps,
            "sizes": sorted({str(size) for size in self.sizes}),
            "prompts": [self.n_train, self.n_test],
            "seed": self.seed,
        }
        return digest(decides)[:KEY_LENGTH]

    def _read_by_the_method(self) -> list[str | None]:
        """The digest of the files that the method reads, of one that does."""
        method = self.built_method
        return [method.data_digest()] if isinstance(method, ReadsFiles) else []

    @property
    def folder(self) -> Folder:
        """Where the record is, or will be."""
        return Folder(Path(self.results_dir), self.key)

    @property
    def title(self) -> str:
        """The cell in words."""
        return title_of(self.names, self.seed)

    def settings(self) -> dict[str, Any]:
        """Every setting, as plain values."""
        return asdict(self)

    def evaluation_settings(self) -> dict[str, Any]:
        """The settings of every evaluation ablation, by name."""
        return {name: _described(ablation) for name, ablation in self.evaluation.items()}

    def checked(self) -> "Cell":
        """The cell, after everything that it names was built.

        Raises:
            UserError: something does not exist or cannot be used.
        """
        parts: list[Callable[[], Any]] = [lambda: self.key, lambda: self.built_metric]
        for part in parts:
            part()
        if not isinstance(self.built_method, CircuitMethod | Study):
            raise UserError(
                f"method={self.names['method']} neither finds circuits nor does a study"
            )
        return self


def title_of(names: Mapping[str, str], seed: int) -> str:
    """A cell in words: task, method, ablation, model and seed."""
    return "{task} {method} {ablation} {model}".format(**names) + f" seed={seed}"


def _built(config: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    return build(OmegaConf.create(config), where=where)


def _described(thing: Any) -> list[Any]:  # noqa: ANN401 - a dataclass of any kind
    settings = {name: str(value) for name, value in asdict(thing).items()}
    return [f"{type(thing).__module__}.{type(thing).__qualname__}", settings]
