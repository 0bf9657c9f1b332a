"""One cell of a grid: a task, a method, an ablation and a model, with everything they are set to.

The cell's key is a digest of all that decides its numbers: the settings that its task, its method
and the evaluation of its circuits use, their versions, the weights of a local model, files that a
method reads, and the seed; not where it is run (runner.py) or written, nor where a class lies.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from benchmark.ablations.contract import Ablation, is_trained
from benchmark.config import build, configured, described, once
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.method.circuits import CircuitMethod, ReadsFiles
from benchmark.method.problem import USES
from benchmark.method.study import Study
from benchmark.metric import Metric
from benchmark.models.choice import ModelChoice, files_digest
from benchmark.plugins import use_plugins
from benchmark.prompts.task import Task
from benchmark.records.names import names_of
from benchmark.records.record import CIRCUITS, SCHEMA
from benchmark.records.store import Folder, checked_experiment
from benchmark.references.circuits import published_digest
from benchmark.run.sizes import check_sizes, in_edges
from benchmark.tracking import check_mode

KEY_LENGTH = 16
# What the evaluation of circuits uses, whatever found them.
EVALUATION = frozenset({"evaluate_under", "n_test", "references"})
# What a record says of settings that nothing used.
UNUSED = {
    "sizes": [], "training_steps": None, "attribution_metric": None, "evaluate_under": None,
    "n_test": 0,
}  # fmt: skip
FEWEST = {"n_train": 1, "n_test": 2}


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
    cells_per_job: int
    report: bool
    threads: int | None
    plugins: list[str]

    def __post_init__(self) -> None:
        """Check what can be checked before anything is loaded, and allow the user's packages."""
        use_plugins(*self.plugins)
        check_mode(self.tracking)
        if self.experiment_name is not None:
            checked_experiment(self.experiment_name)
        for name, least in FEWEST.items():
            # A record of a method that saw no prompts of a split has 0 of them.
            if getattr(self, name) < least and (name not in UNUSED or getattr(self, name)):
                raise UserError(f"{name}={getattr(self, name)} must be {least} or more")
        for name in ("threads", "training_steps", "cells_per_job"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be 1 or more")
        check_sizes(self.sizes)

    @cached_property
    def called(self) -> dict[str, str]:
        """What is run, as tables and pictures call it."""
        return names_of(asdict(self))

    @cached_property
    def model_choice(self) -> ModelChoice:
        """Which model."""
        return _built(self.model, "model")

    @cached_property
    def model_files(self) -> str | None:
        """A digest of the files of a local model."""
        return once(["files", self.model], lambda: files_digest(self.model_choice.name))

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
        return getattr(self.built_method, "kind", CIRCUITS)

    @property
    def uses(self) -> frozenset[str]:
        """The settings that the method, or the evaluation of its circuits, looks at."""
        method = self.built_method
        return method.uses | (frozenset() if isinstance(method, Study) else EVALUATION)

    @cached_property
    def built_ablation(self) -> Ablation:
        """The ablation that the method works with."""
        if self.constants.keys() <= self.ablation.keys():
            # Its recipe may be that of `constants`, where a mistake is then named.
            _built(self.ablation | self.constants, "constants")
        return _built(self.ablation, "ablation")

    @cached_property
    def evaluation(self) -> dict[str, Ablation]:
        """The ablations that circuits are evaluated under, by option; none for a study."""
        if "evaluate_under" not in self.uses:
            return {}
        own, built = self.names["ablation"], self.built_ablation
        return {
            name: self._with_constants(built if name == own else configured("ablation", name))
            for name in self.evaluate_under or [own]
        }

    def _with_constants(self, ablation: Ablation) -> Ablation:
        """The ablation, with the one recipe for constants of all circuits if it trains any."""
        if not is_trained(ablation):
            return ablation
        target = f"{type(ablation).__module__}.{type(ablation).__qualname__}"
        settings = {"_target_": target, **asdict(cast(Any, ablation))}
        return _built(settings | self.constants, "constants")

    @cached_property
    def metric_name(self) -> str:
        """The metric that the method attributes: the task's own, unless it uses one that is set."""
        chosen = self.attribution_metric if "attribution_metric" in self.uses else None
        return chosen or self.built_task.metric

    @cached_property
    def built_metric(self) -> Metric:
        """That metric."""
        return configured("metric", self.metric_name)

    def sizes_of(self, graph: ComputationalGraph) -> list[int]:
        """The sizes in edges, smallest first; none for a method that does not use them.

        Raises:
            UserError: a size is larger than the graph.
        """
        sizes = self.sizes if "sizes" in self.uses else []
        return in_edges(sizes, graph.n_edges, self.model_choice.name)

    @cached_property
    def key(self) -> str:
        """The name of the record's folder."""
        choice, method = self.model_choice, self.built_method
        files = [method.data_digest()] if isinstance(method, ReadsFiles) else []
        # Published circuits are known by the model's name, wherever a directory lies.
        name = choice.name if self.model_files is None else Path(choice.name).name
        decides = {
            "schema": SCHEMA,
            "model": [name, self.model_files or choice.revision, choice.dtype],
            "task": once(["fingerprint", self.task], self.built_task.fingerprint),
            "method": [described(method), method.version, *filter(None, files)],
            "ablation": described(self.built_ablation),
            "n_train": self.n_train,
            "seed": self.seed,
            **self._used(),
        }
        return digest(decides)[:KEY_LENGTH]

    def _used(self) -> dict[str, Any]:
        """What of the rest decides numbers: settings that something uses, by their names."""
        uses, known = self.uses, {}
        if "sizes" in uses:
            known["sizes"] = sorted({str(size) for size in self.sizes})
        if "training_steps" in uses:
            known["training_steps"] = self.training_steps
        if "n_test" in uses:
            known["n_test"] = self.n_test
        if "references" in uses:
            known["references"] = published_digest(self.built_task.family)
        if "attribution_metric" in uses or "evaluate_under" in uses:
            known["metric"] = [self.metric_name, described(self.built_metric)]
        if "evaluate_under" in uses:
            known["evaluation"] = self.evaluation_settings()
        return known

    @property
    def folder(self) -> Folder:
        """Where the record is, or will be."""
        return Folder(Path(self.results_dir), self.key)

    @property
    def title(self) -> str:
        """The cell in words."""
        names = (self.called[axis] for axis in ("task", "method", "ablation", "model"))
        return " ".join([*names, f"seed={self.seed}"])

    def settings(self) -> dict[str, Any]:
        """Every setting, as plain values; what nothing used is empty."""
        return asdict(replace(self, **{n: v for n, v in UNUSED.items() if n not in self.uses}))

    def evaluation_settings(self) -> dict[str, Any]:
        """The settings of every evaluation ablation, by option."""
        return {name: described(ablation) for name, ablation in self.evaluation.items()}

    def checked(self) -> "Cell":
        """The cell, after everything that it names was built.

        Raises:
            UserError: something does not exist or cannot be used.
        """
        if not isinstance(self.built_method, CircuitMethod | Study):
            raise UserError(
                f"method={self.names['method']} neither finds circuits nor does a study"
            )
        strange = self.built_method.uses - USES
        if strange:
            raise UserError(
                f"method={self.names['method']} uses {min(strange)!r}, which a cell does not give; "
                f"it gives {', '.join(sorted(USES))}"
            )
        if "n_test" in self.uses and not self.n_test:
            raise UserError(f"n_test=0 must be {FEWEST['n_test']} or more")
        self._with_constants(self.built_ablation)
        _ = self.built_metric, self.key
        return self


def _built(config: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    return once([where, config], lambda: build(OmegaConf.create(config), where=where))
