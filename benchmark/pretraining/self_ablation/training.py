"""Training a model that ablates itself, or its baseline: both streams' losses, one optimiser.

The loss is a weighted sum of the clean stream's next-token loss, the ablated stream's, and of how
far the ablated states point elsewhere than the clean ones (Ferrao et al. 2025, arXiv 2505.00509).
Without gates it is the plain training of the same model by the same steps, or with a weight on the
size of its units an L1 penalty, another way to a sparse model.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from benchmark.errors import UserError, near
from benchmark.pretraining.corpus import PADDING, Rows, make_corpus
from benchmark.pretraining.hub_text import HubText
from benchmark.pretraining.language import ZooTraining, summed_loss
from benchmark.pretraining.saving import context_length, save_zoo_model
from benchmark.pretraining.self_ablation.gates import LOCAL
from benchmark.pretraining.self_ablation.model import (
    SelfAblatingModel,
    reconstruction,
    size_of_units,
)
from benchmark.pretraining.self_ablation.stored import GATES_FILE
from benchmark.pretraining.self_ablation.streams import clean_stream
from benchmark.pretraining.self_ablation.winners import Soft, Winners
from benchmark.seeds import derived_seed

# Texts that the losses of the log and the card are measured on.
N_HELD_OUT = 400


@dataclass(frozen=True)
class SelfAblationTraining(ZooTraining):
    """Settings of a training run; see conf/zoo/self_ablation.yaml."""

    gates: str
    k_attention: int
    k_neurons: int
    soft: Soft
    temperature: float
    hard: bool
    clean_weight: float
    ablated_weight: float
    reconstruction_weight: float
    units_weight: float
    device: str
    hub_text: HubText | None

    def __post_init__(self) -> None:
        """Check the names and the ranges."""
        super().__post_init__()
        if self.gates not in LOCAL:
            names = ", ".join(LOCAL)
            raise UserError(f"gates={self.gates} is not one of {names}{near(self.gates, LOCAL)}")
        kind = self.architecture.get("model_type")
        if kind != "gpt_neo":
            raise UserError(f"architecture.model_type={kind} has no gates; only gpt_neo has")
        width = self.architecture["hidden_size"]
        for name in ("k_attention", "k_neurons"):
            if not 1 <= getattr(self, name) < width:
                raise UserError(f"{name}={getattr(self, name)} must be 1 to {width - 1}")
        if not self.temperature > 0:
            raise UserError(f"temperature={self.temperature} must be above 0")

    def _texts(self) -> tuple[PreTrainedTokenizerBase, Rows]:
        if self.hub_text is None:
            return super()._texts()
        tokenizer = self.hub_text.read_tokenizer()
        return tokenizer, self.hub_text.windows(tokenizer, self.hub_text.part, self.seed)

    def _untrained(self, d_vocab: int) -> SelfAblatingModel:
        model = super()._untrained(d_vocab)
        # The model's own weights are then those of a baseline of the same seed.
        torch.manual_seed(derived_seed(self.seed, "initial gates"))
        winners = Winners(self.soft, self.temperature, self.hard)
        gated = SelfAblatingModel(model, self.gates, winners, self.k_attention, self.k_neurons)
        return gated.to(self.device)

    def _loss(self, model: SelfAblatingModel, texts: Int[Tensor, "texts longest"]) -> Tensor:
        losses = self._losses(model, texts.to(self.device))
        return sum((self._weights[name] * loss for name, loss in losses.items()), torch.zeros(()))

    @property
    def _weights(self) -> dict[str, float]:
        return {
            "clean": self.clean_weight,
            "ablated": self.ablated_weight,
            "reconstruction": self.reconstruction_weight,
            "units": self.units_weight,
        }

    def _losses(
        self, model: SelfAblatingModel, texts: Int[Tensor, "texts longest"]
    ) -> dict[str, Tensor]:
        """The losses by name, each summed over the texts' real next tokens."""

        def next_token(final: Tensor) -> Tensor:
            return summed_loss(model.logits(final), texts, self.last_token_weight)

        streams = model(texts.clamp(min=0)[:, :-1])
        real = texts[:, 1:] != PADDING
        losses = {"clean": next_token(streams.clean.final)}
        if self.units_weight:
            losses["units"] = size_of_units(streams.clean, real)
        if streams.ablated is not None:
            losses["ablated"] = next_token(streams.ablated.final)
            losses["reconstruction"] = reconstruction(streams.clean, streams.ablated, real)
        return losses

    def _logits(
        self, model: SelfAblatingModel, tokens: Int[Tensor, "texts position"]
    ) -> Float[Tensor, "texts position vocab"]:
        final = clean_stream(model.model, tokens.to(self.device)).final
        return model.logits(final).to(tokens.device)

    @torch.no_grad()
    def _validation(
        self, model: SelfAblatingModel, tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, float]:
        """Accuracies of the tasks, and the losses per token of texts held out."""
        return super()._validation(model, tokenizer) | self._held_out_losses(model, tokenizer)

    @torch.no_grad()
    def _held_out_losses(
        self, model: SelfAblatingModel, tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, float]:
        sums: Counter[str] = Counter()
        for part in self._held_out(tokenizer).step(0, N_HELD_OUT):
            texts = part.long().to(self.device)
            found = self._losses(model, texts)
            sums.update({f"loss/{name}": loss.item() for name, loss in found.items()})
            sums["targets"] += int((texts[:, 1:] != PADDING).sum())
        n_targets = sums.pop("targets")
        return {name: value / n_targets for name, value in sums.items()}

    def _held_out(self, tokenizer: PreTrainedTokenizerBase) -> Rows:
        """Other texts of the same sources and shares, or the part of a data set for that."""
        seed = derived_seed(self.seed, "held-out texts")
        if self.hub_text is not None:
            return self.hub_text.windows(tokenizer, self.hub_text.held_out_part, seed)
        n_positions = context_length(self.architecture)
        return make_corpus(self.mixture, {}, 0, tokenizer, N_HELD_OUT, n_positions, seed)

    def _saved(
        self, model: SelfAblatingModel, tokenizer: PreTrainedTokenizerBase, facts: dict[str, Any]
    ) -> Path:
        # What is measured is what is kept.
        gates = {name: gate.half() for name, gate in model.gates.state_dict().items()}
        model.gates.load_state_dict(gates)
        held_out = self._held_out_losses(model, tokenizer)
        return save_zoo_model(
            model.cpu().model,
            tokenizer,
            self.name,
            self.directory,
            facts | {"held_out": held_out},
            self.scored,
            self.n_scored,
            beside={GATES_FILE: gates} if gates else {},
        )
