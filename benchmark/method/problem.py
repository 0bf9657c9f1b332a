"""All that a method may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from benchmark.ablations.constants import Constants
from benchmark.ablations.contract import Ablation, Replacement, TrainedAblation, is_trained
from benchmark.config import configured
from benchmark.forward.memory import attribution_prompts_that_fit, masks_that_fit
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.metric import Metric
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch, concatenate

# Settings of a cell that a method may use. What its `uses` does not name it is not given, and does
# not decide the key of its records.
USES = frozenset({"sizes", "training_steps", "attribution_metric", "references", "n_test"})


class NotGiven(Metric):
    """Stands for the metric of a method that does not say that it uses one; any use is an error."""

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse."""
        raise AttributeError(_NAME_IT)

    def __call__(self, logits: Tensor, batch: Batch, clean_logits: Tensor) -> NoReturn:
        """Refuse."""
        raise TypeError(_NAME_IT)


_NAME_IT = "a method that looks at problem.metric names attribution_metric in its uses"
NOT_GIVEN = NotGiven()  # pyright: ignore[reportAbstractUsage]


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a method may see.

    Attributes:
        model: the model.
        batches: prompts of the train split.
        metric: what attribution methods attribute.
        ablation: what ablated edges carry.
        references: circuits known beforehand, by name; only a method that shows them may look.
        seed: of everything random in the method.
        training_steps: optimiser steps of methods that train and have no number of their own;
            None leaves it to the method.
        work_folder: a folder for checkpoints, or None to keep none.
        shared_folder: a folder for what is costly and the same for many records, or None.

    A method that is run from a cell gets the metric, the references and the training steps only if
    it names them in its `uses`; see `USES`.
    """

    model: LanguageModel
    batches: Sequence[Batch]
    metric: Metric
    ablation: Ablation
    references: dict[str, EdgeMask]
    seed: int
    training_steps: int | None
    work_folder: Path | None
    shared_folder: Path | None = None

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        prompts: Batch | Sequence[Batch] = (),
        *,
        ablation: Ablation | str = "counterfactual",
        metric: Metric | str = "logit_difference",
        references: dict[str, EdgeMask] | None = None,
        seed: int = 0,
        training_steps: int | None = None,
        work_folder: Path | None = None,
    ) -> "Problem":
        """A problem from Python: only what differs from the defaults is to be given.

        Args:
            model: the model.
            prompts: prompts of the train split, one batch or several.
            ablation: an ablation, or an option of conf/ablation.
            metric: a metric, or an option of conf/metric.
            references: circuits known beforehand.
            seed: of everything random in the method.
            training_steps: optimiser steps of methods that train; None leaves it to the method.
            work_folder: a folder for checkpoints.

        Raises:
            UserError: there is no such option.
        """
        return cls(
            model=model,
            batches=[prompts] if isinstance(prompts, Batch) else prompts,
            metric=configured("metric", metric) if isinstance(metric, str) else metric,
            ablation=configured("ablation", ablation) if isinstance(ablation, str) else ablation,
            references=references or {},
            seed=seed,
            training_steps=training_steps,
            work_folder=work_folder,
        )

    @property
    def graph(self) -> ComputationalGraph:
        """The model's graph."""
        return self.model.graph

    @cached_property
    def replacement(self) -> Replacement:
        """The fitted ablation, for methods that measure single edges or gradients.

        Under optimal ablation it is the constants that lose least when each source is ablated
        alone (Li & Janson 2024, arXiv 2409.09951, section 2.2), trained by the ablation's recipe.
        """
        if not is_trained(self.ablation):
            return self.ablation.fit(self.model, self.batches)
        return self._constants_of_single_sources(self.ablation)

    def _constants_of_single_sources(self, optimal: TrainedAblation) -> Constants:
        """Trained in groups of sources that fit into memory.

        A constant has gradient from its own source's row alone, so what each group learned adds up.
        """
        n_positions = max(batch.n_positions for batch in self.batches)
        n_at_once = masks_that_fit(self.model, optimal.batch_size, n_positions)
        one_at_a_time = (1 - torch.eye(self.graph.n_sources))[..., None]
        start = optimal.fit(self.model, self.in_batches(optimal.batch_size)).values
        total = start
        for first in range(0, self.graph.n_sources, n_at_once):
            learned = optimal.train(
                self.model,
                one_at_a_time[first : first + n_at_once],
                self.batches,
                one_set=True,
                checkpoint=self.checkpoint(f"constants of single sources {first}"),
            ).values
            triples = zip(total.tensors, learned.tensors, start.tensors, strict=True)
            values, heads, mlps = (t + new - old for t, new, old in triples)
            total = SourceValues(values, heads, mlps, start.keep_first)
        return Constants(total)

    def checkpoint(self, name: str) -> Path | None:
        """Where a training loop may keep its state."""
        if self.work_folder is None:
            return None
        return self.work_folder / f"{name.replace(' ', '_')}.checkpoint"

    def in_batches(self, size: int) -> list[Batch]:
        """The prompts in batches of another size."""
        return concatenate(list(self.batches)).in_parts(size)

    def in_attribution_batches(self, size: int) -> list[Batch]:
        """The prompts in batches of `size`, or of as many as an attribution of edges has room for.

        Donors come from the same batch, so that of an ablation that needs them is not divided.
        """
        if self.ablation.traits.needs_donors:
            return self.in_batches(size)
        n_positions = max(batch.n_positions for batch in self.batches)
        return self.in_batches(min(size, attribution_prompts_that_fit(self.model, n_positions)))

    def masks_at_once(self, n_prompts: int) -> int:
        """Masks that train side by side on so many prompts; at least one."""
        n_positions = max(batch.n_positions for batch in self.batches)
        return masks_that_fit(self.model, n_prompts, n_positions)
