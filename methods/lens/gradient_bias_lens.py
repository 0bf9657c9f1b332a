"""The gradient baseline: the mean Jacobian at the read position, and a bias that is trained.

Li & Janson (2024, arXiv 2409.09951, section 5) compare OCA with it, to see what a first-order
account of the layers above explains.
"""

from dataclasses import dataclass

from methods.lens.fitted import TranslatorLens
from methods.lens.fitting.jacobian import mean_jacobian_at_read_position
from methods.lens.fitting.text import Given
from methods.lens.fitting.training import train
from methods.lens.lens import TrainedLens
from methods.lens.tuned_lens import TranslatorStart, new_translator
from methods.ranges import check_counts


@dataclass(frozen=True)
class GradientBiasLens(TrainedLens):
    """Settings of the gradient baseline; see conf/method/gradient_bias_lens.yaml."""

    start: TranslatorStart
    n_prompts: int | None

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "n_prompts")

    def fitted(self, given: Given) -> TranslatorLens:
        """The Jacobians of the first prompts, then the bias on all."""
        first = given.first(self.n_prompts)
        weight = mean_jacobian_at_read_position(given.model, [first], self.fit_length)
        bias = new_translator(given.model, self.start, given.seed).bias
        lens = TranslatorLens(given.model, weight, bias)
        train(lens, given.states, self.recipe, given.seed, given.checkpoint)
        return lens
