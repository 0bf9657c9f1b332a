"""The Jacobian lens: the mean Jacobian of the final states, then final norm and unembedding.

After Gurnee et al. (2026): it reads what a state disposes the model to say, now or later, and not
only the next token.
"""

from dataclasses import dataclass

from methods.lens.fitted import TranslatorLens
from methods.lens.fitting.jacobian import mean_jacobian_of_later_states
from methods.lens.fitting.text import Given
from methods.lens.lens import Lens
from methods.ranges import check_counts, check_not_below_zero


@dataclass(frozen=True)
class JacobianLens(Lens):
    """Settings of the Jacobian lens; see conf/method/jacobian_lens.yaml."""

    n_prompts: int | None
    skip_first: int
    skip_last: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "n_prompts")
        check_not_below_zero(self, "skip_first", "skip_last")

    def fitted(self, given: Given) -> TranslatorLens:
        """The mean Jacobians of the first prompts."""
        prompts = [given.first(self.n_prompts)]
        skipped = self.skip_first, self.skip_last
        weight = mean_jacobian_of_later_states(given.model, prompts, *skipped)
        return TranslatorLens(given.model, weight, bias=None)
