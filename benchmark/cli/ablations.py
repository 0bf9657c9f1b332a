"""One random circuit under every ablation.

Half of the edges are kept; the loss gap says how far the ablated model's predictions are from
the full model's. With random weights the numbers mean nothing about language, but their order
shows what the ablations do: the optimal constants lose least among the total ablations.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.table import Table

from benchmark.ablations.contract import Ablation, TrainedAblation, is_trained
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.meter import metering
from benchmark.metric import KLDivergence
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.prompts.batch import Batch
from benchmark.prompts.random_batch import random_batch
from benchmark.seeds import generator


@dataclass(frozen=True)
class Comparison:
    """Settings of the verb `ablations`; see conf/ablations.yaml."""

    model_name: str | None
    device: str
    n_prompts: int
    length: int
    keep: float
    ablations: list[str] | None
    optimal_steps: int
    optimal_batch_size: int
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.keep <= 1:
            raise UserError(f"ablations.keep={self.keep} is not a share; give a number from 0 to 1")
        if self.n_prompts < 2 or self.length < 4:
            raise UserError("ablations.n_prompts must be 2 or more and ablations.length 4 or more")

    def run(self) -> Table:
        """Ablate and tabulate."""
        model = self._load()
        scores = torch.rand(model.graph.exists.shape, generator=generator(self.seed, "edges"))
        ranked = EdgeScores(model.graph, scores, signed=True)
        mask = ranked.top(round(self.keep * model.graph.n_edges))
        sizes = model.shape.d_vocab, self.n_prompts, self.length
        fitting, held_out = (
            random_batch(*sizes, first_token=0, seed=self.seed, name=name).to(model.device)
            for name in ("fitting", "held out")
        )
        table = Table("ablation", "loss gap (nats)", "+-", "passes", "seconds")
        table.title = (
            f"{model.name}: {mask.size:,} of {model.graph.n_edges:,} edges kept at random, "
            f"{len(held_out)} held-out prompts"
        )
        for name in self.ablations or configured_names("ablation"):
            table.add_row(name, *self._row(model, name, mask, fitting, held_out))
        return table

    def _load(self) -> LanguageModel:
        if self.model_name is not None:
            return load_model(self.model_name, device=self.device)
        config = random_config("gpt2", n_layers=4, n_heads=4, d_model=64, d_mlp=256, d_vocab=100)
        with tempfile.TemporaryDirectory() as folder:
            directory = save_random_model(Path(folder) / "random-gpt2", config, seed=self.seed)
            return replace(load_model(directory, device=self.device), name="random-gpt2")

    def _row(
        self, model: LanguageModel, name: str, mask: EdgeMask, fitting: Batch, held_out: Batch
    ) -> list[str]:
        with metering() as meter:
            gaps = self._gaps(model, name, mask, fitting, held_out)
        error = gaps.std() / len(gaps) ** 0.5
        # A divergence of zero may come out as minus a rounding error.
        figures = [f"{gaps.mean().clamp(min=0):.4f}", f"{error:.4f}"]
        return [*figures, f"{meter.forward + meter.backward:,.0f}", f"{meter.seconds:.1f}"]

    def _gaps(
        self, model: LanguageModel, name: str, mask: EdgeMask, fitting: Batch, held_out: Batch
    ) -> torch.Tensor:
        ablation: Ablation = configured("ablation", name)
        if is_trained(ablation):
            changes = dict(steps=self.optimal_steps, batch_size=self.optimal_batch_size)
            quick: TrainedAblation = configured("ablation", name, **changes)
            replacement = quick.train(model, mask, [fitting])
        else:
            replacement = ablation.fit(model, [fitting])
        with torch.no_grad():
            clean = clean_logits(model, held_out.clean, held_out.read_at)
            logits = masked_logits(model, mask, held_out, replacement(held_out))
        return KLDivergence()(logits, held_out, clean)
