"""What all lenses share: they are fitted to text, and judged by their loss at every layer.

The loss of a lens at layer l is the mean KL(model || lens) in nats, at one place of every prompt
(Li & Janson 2024, arXiv 2409.09951, section 5); beside it stands how often both name the same
token.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.states import States, states_at
from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.statistics.bootstrap import interval_of_means
from benchmark.transformer.transformer import Transformer
from methods.lens.files import LENS, save_lens
from methods.lens.fitted import FittedLens
from methods.lens.fitting.loss import compared
from methods.lens.fitting.text import Given, parts_of
from methods.lens.fitting.training import Recipe
from methods.ranges import check_above_zero, check_counts, check_not_below_zero

ONE_ABLATION = "a lens does not look at the ablation; type ablation=counterfactual"


@dataclass(frozen=True)
class Lens(ABC):
    """Settings that all lenses have; see conf/method/logit_lens.yaml."""

    fit_length: int | None
    lengths: list[int] | None
    every_position: bool
    kind: ClassVar[str] = "lens"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "fit_length")
        if self.lengths is not None and min(self.lengths, default=0) < 1:
            raise UserError(f"method.lengths={self.lengths} must be numbers of 1 or more, or null")

    def fit(
        self,
        model: Transformer,
        text: Sequence[Batch],
        *,
        seed: int = 0,
        checkpoint: Path | None = None,
    ) -> FittedLens:
        """The lens of a model, fitted to its states on the clean prompts of the text.

        Args:
            model: the model.
            text: prompts; each is seen after `fit_length` tokens, or at its read position.
            seed: of what is random in the fit.
            checkpoint: a file to keep the state of training in, and to resume from.

        Raises:
            UserError: a prompt is too short, a checkpoint is of another fit, or a loss is not
                finite.
        """
        return self.fitted(Given(model, text, self.fit_length, seed, checkpoint))

    @abstractmethod
    def fitted(self, given: Given) -> FittedLens:
        """The lens, fitted to what is given."""

    def unsupported(self, problem: Problem) -> str | None:
        """One name for the ablation, so that no lens is fitted twice."""
        return None if problem.ablation.traits.from_corrupted else ONE_ABLATION

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Fit, and measure the loss of every layer on the held-out prompts."""
        with metering() as cost:
            lens = self.fit(
                problem.model,
                problem.batches,
                seed=problem.seed,
                checkpoint=problem.checkpoint("lens"),
            )
        with metering() as judging:
            judged = {
                length: judged_at(lens, parts_of(problem.model, held_out, length))
                for length in self.lengths or [None]
            }
            everywhere = _everywhere(lens, held_out) if self.every_position else None
        table = pd.concat([_rows(one, length) for length, one in judged.items()])
        if everywhere is not None:
            table = table.merge(everywhere, on="layer")
        tensors = {
            name if length is None else f"{name} after {length}": values
            for length, one in judged.items()
            for name, values in one.items()
        }
        summary = means_of(next(iter(judged.values())))
        summary["n_parameters"] = float(lens.n_parameters)
        files = {LENS: partial(save_lens, lens)}
        return Findings(table, tensors, summary, cost, judging, files=files)


@dataclass(frozen=True)
class TrainedLens(Lens):
    """Settings of lenses that are trained; see conf/method/oca_lens.yaml."""

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps", "batch_size")
        check_above_zero(self, "learning_rate")
        check_not_below_zero(self, "weight_decay")

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return Recipe(self.steps, self.learning_rate, self.weight_decay, self.batch_size)


def judged_at(
    lens: FittedLens, parts: Iterable[States]
) -> dict[str, Float[Tensor, "layers places"]]:
    """The loss of every layer at every place, and whether lens and model name the same token."""
    found = [_compared(lens, part) for part in parts]
    loss, same = (torch.cat(one, 1) for one in zip(*found, strict=True))
    return {"loss": loss.cpu(), "agreement": same.float().cpu()}


def means_of(judged: dict[str, Tensor]) -> dict[str, float]:
    """Means over layers and places, for a summary."""
    return {f"mean_{name}": values.double().mean().item() for name, values in judged.items()}


@torch.no_grad()
def _compared(lens: FittedLens, states: States) -> tuple[Tensor, Tensor]:
    return compared(lens.model, lens.finals(states.before[:-1]), states.before[-1:])


def _everywhere(lens: FittedLens, held_out: Sequence[Batch]) -> pd.DataFrame:
    """The loss of every layer over all real positions; every prompt counts alike."""
    model, found = lens.model, []
    for batch in held_out:
        at_once = rows_that_fit(model, 1, batch.n_positions, with_gradient=False)
        for part in batch.in_parts(at_once):
            loss, _ = _compared(lens, states_at(model, part.clean, part.real))
            found += [one.mean(1) for one in loss.split(part.lengths.tolist(), 1)]
    losses = torch.stack(found, 1).cpu()
    low, high = interval_of_means(losses.numpy())
    return pd.DataFrame(
        {
            "layer": range(len(losses)),
            "loss_everywhere": losses.double().mean(1),
            "everywhere_low": low,
            "everywhere_high": high,
        }
    )


def _rows(judged: dict[str, Tensor], length: int | None) -> pd.DataFrame:
    """A row for each layer: means, and the interval of the loss from the bootstrap over prompts."""
    low, high = interval_of_means(judged["loss"].numpy())
    means = {name: values.double().mean(1).numpy() for name, values in judged.items()}
    columns = {"loss_low": low, "loss_high": high, **means}
    table = pd.DataFrame({"layer": range(len(low)), **columns})
    return table.assign(length=pd.array([length] * len(table), dtype="Int64"))
