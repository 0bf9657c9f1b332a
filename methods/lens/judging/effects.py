"""How alike the effects are that changed states have on a lens and on its model, at one layer.

The sizes of effects are the mean KL from what either said before; they are compared by the
correlation of their logarithms over directions. The effects themselves are changes of log
probabilities, compared by their cosine in the Aitchison geometry, weighted by the model's own
probabilities (Li & Janson 2024, arXiv 2409.09951, section 5). All is done example by example.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.forward.memory import most_bytes, rows_that_fit
from benchmark.forward.states import logits_from, streams
from benchmark.prompts.batch import Batch
from methods.lens.fitted import FittedLens, lens_logits
from methods.lens.judging.interventions import Moved

LogP = Float[Tensor, "*rows vocab"]
# Tensors of all rows, examples and tokens that are alive at once.
COMPARED = 10
MEASURES = ("magnitude_correlation", "direction_similarity")


@dataclass(frozen=True, eq=False)
class EffectsAtLayer:
    """A lens and its model at one layer, on some examples.

    Attributes:
        lens: the lens.
        examples: the prompts.
        layer: before which states are changed.
        stream: of the examples there, everywhere.
        states: of the examples there, at the read position.
        model_says: log probabilities of the model, unchanged.
        lens_says: the same of the lens.
    """

    lens: FittedLens
    examples: Batch
    layer: int
    stream: Float[Tensor, "examples pos d_model"]
    states: Float[Tensor, "examples d_model"]
    model_says: Float[Tensor, "examples vocab"]
    lens_says: Float[Tensor, "examples vocab"]

    @classmethod
    @torch.no_grad()
    def of(cls, lens: FittedLens, examples: Batch, layer: int) -> "EffectsAtLayer":
        """Before anything is changed."""
        examples = examples.to(lens.model.device)
        stream = streams(lens.model, examples.clean)[layer][0, 0]
        states = stream[torch.arange(len(examples)), examples.read_at]
        lens_says = lens_logits(lens, states, layer).log_softmax(-1)
        unchanged = cls(lens, examples, layer, stream, states, lens_says, lens_says)
        return replace(unchanged, model_says=unchanged.model_with(states[None])[0])

    def model_with(self, states: Moved) -> LogP:
        """Log probabilities of the model, given other states at the read position."""
        model, batch = self.lens.model, self.examples
        at_once = rows_that_fit(model, len(batch), batch.n_positions, with_gradient=False)
        parts = [
            logits_from(model, batch.clean, batch.read_at, self.stream, some, self.layer)
            for some in states.split(at_once)
        ]
        return torch.cat(parts).log_softmax(-1)

    def mean_divergence(self, states: Moved) -> float:
        """How far the model goes from what it said, in nats, over rows and examples."""
        return float(divergence(self.model_says, self.model_with(states)).mean())

    @torch.no_grad()
    def with_states(self, states: Moved, over_examples: bool) -> dict[str, float]:
        """How alike the effects are, and how far the lens is from the model, states changed.

        Args:
            states: a row for each direction.
            over_examples: correlate over all rows' examples, each its own direction, instead of
                over rows.
        """
        parts = [self._effects(some) for some in states.split(self._rows_at_once())]
        *sizes, alike, loss = (torch.cat(one) for one in zip(*parts, strict=True))
        logs = [
            (size.flatten() if over_examples else size.mean(1)).clamp_min(1e-12).log()
            for size in sizes
        ]
        return {
            "magnitude_correlation": float(torch.corrcoef(torch.stack(logs))[0, 1]),
            "direction_similarity": float(alike.mean()),
            "loss": float(loss.mean()),
        }

    def _rows_at_once(self) -> int:
        """Rows of which memory holds all that is compared: numbers for each token of each."""
        bits = torch.finfo(self.model_says.dtype).bits
        return max(1, int(most_bytes() // (COMPARED * bits // 8 * self.model_says.numel())))

    def _effects(self, states: Moved) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sizes of the model's and the lens's effects, how alike they are, and the lens's loss."""
        model = self.model_with(states)
        lens = lens_logits(self.lens, states, self.layer).log_softmax(-1)
        return (
            divergence(self.model_says, model),
            divergence(self.lens_says, lens),
            similarity(self.model_says, model - self.model_says, lens - self.lens_says),
            divergence(model, lens),
        )


def divergence(before: LogP, after: Float[Tensor, "*more vocab"]) -> Float[Tensor, "*more"]:
    """KL(before || after) in nats."""
    return (before.exp() * (before - after)).sum(-1)


def similarity(
    before: LogP,
    model_change: Float[Tensor, "*more vocab"],
    lens_change: Float[Tensor, "*more vocab"],
) -> Float[Tensor, "*more"]:
    """The cosine of two changes of log probabilities, weighted by the probabilities before.

    <u, v> = sum_i p_i (u_i - E_p u) (v_i - E_p v), so a constant added to logits changes nothing.
    """
    p = before.exp()
    u, v = (x - (p * x).sum(-1, keepdim=True) for x in (model_change, lens_change))

    def product(a: Tensor, b: Tensor) -> Tensor:
        return (p * a * b).sum(-1)

    sizes = (product(u, u) * product(v, v)).sqrt()
    return product(u, v) / sizes.clamp_min(torch.finfo(p.dtype).tiny)
