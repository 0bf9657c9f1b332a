"""An ablation: one number for everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmark.ablations.constants import Constants
from benchmark.ablations.contract import Traits
from benchmark.forward.values import zero_values
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class Constant:
    """Settings; see conf/ablation/constant.yaml."""

    keep_first: bool
    value: float
    traits: ClassVar[Traits] = Traits(total=True)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Constants:
        """Nothing to learn."""
        zeros = zero_values(model.shape, self.keep_first, model.device)
        return Constants(zeros.map(lambda x: x.to(model.stream_dtype) + self.value))
