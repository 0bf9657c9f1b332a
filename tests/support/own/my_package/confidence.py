"""A study: how sure the model is of its prediction, prompt by prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch

from benchmark.forward.passes import clean_logits
from benchmark.meter import Meter, metering
from benchmark.method.problem import Problem
from benchmark.method.study import Findings
from benchmark.prompts.batch import Batch


@dataclass(frozen=True)
class Confidence:
    """Settings; see conf/method/confidence.yaml."""

    temperature: float
    kind: ClassVar[str] = "confidence"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def unsupported(self, problem: Problem) -> str | None:
        """Anything goes."""
        return None

    @torch.no_grad()
    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """The probability of the most likely token."""
        with metering() as cost:
            logits = [clean_logits(problem.model, b.clean, b.read_at) for b in held_out]
        largest = torch.cat([(x / self.temperature).softmax(-1).amax(-1) for x in logits]).cpu()
        return Findings(
            table=pd.DataFrame({"prompt": range(len(largest)), "probability": largest.numpy()}),
            tensors={"probability": largest},
            summary={"mean_probability": float(largest.mean())},
            cost=cost,
            judging=Meter(),
        )
