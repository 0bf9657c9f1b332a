"""What layers know behind wrong demonstrations.

Behind right and behind wrong demonstrations a lens is read before every label, and so is the model.
Where late layers repeat the demonstrations' mistakes, earlier ones may still know better (Halawi et
al. 2023, arXiv 2307.09476; Li & Janson 2024, arXiv 2409.09951, section 5). The study fits a lens
and gives its calibrated accuracy by layer and number of demonstrations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.config import configured
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.states import states_at
from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.prompts.task import Split
from benchmark.statistics.bootstrap import interval_of_means
from methods.lens.fitted import FittedLens, lens_logits
from methods.lens.judging.calibrated import calibrated, of_labels
from methods.lens.judging.chosen import chosen_lens, digest_of_chosen
from methods.lens.judging.demonstrations import Slots, labels_of
from methods.lens.lens import ONE_ABLATION
from methods.ranges import check_counts

RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True)
class LensElicitation:
    """Settings of the study; see conf/method/lens_elicitation.yaml."""

    lens: str
    steps: int | None
    text: str | None
    n_text: int
    paper_compat: bool
    kind: ClassVar[str] = "lens_elicitation"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "steps", "n_text")

    def unsupported(self, problem: Problem) -> str | None:
        """One name for the ablation, so that nothing is measured twice."""
        return None if problem.ablation.traits.from_corrupted else ONE_ABLATION

    def data_digest(self) -> str | None:
        """A digest of the lens that is read from files, or None.

        Raises:
            UserError: one is no lens, or cannot be read.
        """
        return digest_of_chosen([self.lens])

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Fit the lens, and ask every layer behind right and wrong demonstrations.

        Raises:
            UserError: clean and corrupted prompts differ in other things than labels.
        """
        labels = labels_of(held_out)
        slots = [Slots.of(batch, labels) for batch in held_out]
        with metering() as cost:
            lens = self._fitted(problem)
        right = torch.cat([one.right for one in slots]).T
        with metering() as judging:
            correct = {
                kind: self._correct(lens, held_out, slots, labels, right, kind)
                for kind in (RIGHT, WRONG)
            }
        table = pd.DataFrame([row for kind in correct for row in _rows(kind, correct[kind])])
        tensors = {f"correct/{kind}": found[:, -1].float() for kind, found in correct.items()}
        summary = {f"model_{kind}": float(x[-1, -1].mean()) for kind, x in correct.items()}
        summary |= {"chance": 1 / len(labels)}
        return Findings(table, tensors, summary, cost, judging, _warnings(table, len(labels)))

    def _fitted(self, problem: Problem) -> FittedLens:
        model, lens = problem.model, chosen_lens(self.lens, self.steps)
        text = problem.batches
        if self.text is not None:
            source = configured("task", self.text)
            text = [source.batch(model.tokenizer, Split.train, self.n_text, problem.seed)]
        return lens.fit(model, text, seed=problem.seed, checkpoint=problem.checkpoint("lens"))

    def _correct(
        self,
        lens: FittedLens,
        held_out: Sequence[Batch],
        slots: Sequence[Slots],
        labels: Tensor,
        right: Tensor,
        kind: str,
    ) -> Float[Tensor, "layers_and_model slots prompts"]:
        """Which labels every layer of the lens, and the model, get right."""
        pairs = zip(held_out, slots, strict=True)
        p = torch.cat([_said(lens, batch, of, labels, kind) for batch, of in pairs], 1)
        found = torch.stack([calibrated(x, y) for x, y in zip(p.unbind(2), right, strict=True)], 1)
        if self.paper_compat:
            # There the lens of the last layer stands for the model.
            found[-1] = found[-2]
        return found


@torch.no_grad()
def _said(
    lens: FittedLens, batch: Batch, slots: Slots, labels: Tensor, kind: str
) -> Float[Tensor, "layers_and_model prompts slots labels"]:
    """What every layer of the lens, and the model, give for the labels at every slot."""
    tokens = batch.clean if kind == RIGHT else batch.corrupted
    at_once = rows_that_fit(lens.model, 1, batch.n_positions, with_gradient=False)
    parts = []
    for some, places in zip(tokens.split(at_once), slots.places.split(at_once), strict=True):
        before = states_at(lens.model, some, places).before
        layers = [
            of_labels(lens_logits(lens, states, layer).log_softmax(-1).cpu(), labels)
            for layer, states in enumerate(before)
        ]
        parts.append(torch.stack(layers).unflatten(1, (len(some), -1)))
    return torch.cat(parts, 1)


def _rows(kind: str, correct: Tensor) -> Iterator[dict[str, Any]]:
    """A row for each number of demonstrations and layer; the one behind the last is the model."""
    for number, of_number in enumerate(correct.unbind(1)):
        low, high = interval_of_means(of_number.numpy())
        for layer, accuracy in enumerate(of_number.mean(1).tolist()):
            yield {
                "shown": kind,
                "demonstrations": number,
                "layer": layer,
                "accuracy": accuracy,
                "low": low[layer],
                "high": high[layer],
            }


def _warnings(table: pd.DataFrame, n_labels: int) -> list[str]:
    """Whether the model does the task at all, without which lenses have nothing to find."""
    rows = table[(table["shown"] == RIGHT) & (table["layer"] == table["layer"].max())]
    last = rows.iloc[-1]
    if last["low"] > 1 / n_labels:
        return []
    return [
        f"the model does not do the task: behind {last['demonstrations']} right demonstrations it "
        f"is right in {last['accuracy']:.2f} of prompts, by chance in {1 / n_labels:.2f}"
    ]
