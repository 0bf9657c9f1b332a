"""Constants for subjects' tokens that lose least: optimal ablation (Li & Janson 2024, section 4).

One constant for each place of a group and one for the fully corrupted run, or one for all of them.
Their loss is the mean over facts of relu(p_clean - p_run), the fall of the probability of the
clean run's answer, summed over runs. They start at the mean of all subjects' tokens; a constant
that training leaves worse on the training facts than the mean or zero is exchanged for the better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.digests import digest
from benchmark.effects.tracing.restoring import own_logits
from benchmark.effects.tracing.subjects import first_positions, subject_embeddings, with_subjects
from benchmark.effects.tracing.trace import clean_trace
from benchmark.errors import UserError
from benchmark.forward.memory import rows_that_fit
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.tensors import read_tensors, write_tensors
from benchmark.transformer.transformer import Transformer
from methods.tracing.measures import answer_probability
from methods.tracing.places import Group

Constants = Float[Tensor, "runs d_model"]


@dataclass(frozen=True)
class Recipe:
    """How constants are trained; the fields of an optimal ablation.

    Attributes:
        steps: optimiser steps.
        learning_rate: of AdamW, without weight decay.
        batch_size: facts of a step.
        seed: of the choice of facts.
        shared: one constant for all runs of a group.
    """

    steps: int
    learning_rate: float
    batch_size: int
    seed: int
    shared: bool


class ConstantTraining:
    """Trains the constants of one group of places.

    Args:
        model: the model.
        facts: training facts that the model knows.
        group: what is restored, and where.
        layers: the layers that each run restores; none for the fully corrupted one.
        recipe: how.
    """

    def __init__(
        self,
        model: Transformer,
        facts: Batch,
        group: Group,
        layers: tuple[frozenset[int], ...],
        recipe: Recipe,
    ) -> None:
        self._model, self._facts, self._group = model, facts, group
        self._layers, self._recipe = layers, recipe
        self._mean = subject_embeddings(model, facts).mean(0)
        self._n_sets = 1 if recipe.shared else len(layers)

    def trained(self, folder: Path | None) -> Constants:
        """The constants of all runs, kept in the folder if there is one."""
        path = None if folder is None else folder / f"constants_{self._group.name}.safetensors"
        facts = {"group": self._group.name, "digest": self._digest()}
        if path is not None and path.exists():
            kept = _kept(path, facts)
            if kept is not None:
                return kept.to(self._mean)
        found = self._best(self._optimised())
        if path is not None:
            write_tensors(path, {"constants": found}, facts)
        return found

    @torch.no_grad()
    def losses(self, constants: Constants) -> Float[Tensor, " runs"]:
        """The loss of every run on all training facts."""
        total = torch.zeros(len(self._layers), dtype=torch.float64)
        for batch in self._facts.in_parts(self._recipe.batch_size):
            found = self._for_each_part(batch, constants, lambda loss: loss.cpu())
            total += torch.cat(found).double() * len(batch)
        return total / len(self._facts)

    def _optimised(self) -> Constants:
        learned = self._mean.expand(self._n_sets, -1).clone().requires_grad_()
        recipe = self._recipe
        optimiser = torch.optim.AdamW([learned], lr=recipe.learning_rate, weight_decay=0)
        for step in range(recipe.steps):
            random = generator(recipe.seed, "facts of step", step)
            chosen = torch.randperm(len(self._facts), generator=random)[: recipe.batch_size]
            batch = self._facts.select(chosen.to(self._facts.clean.device)).trimmed()
            optimiser.zero_grad()
            self._for_each_part(batch, learned, lambda loss: loss.sum().backward())
            optimiser.step()
        return learned.detach().expand(len(self._layers), -1)

    def _for_each_part(
        self, batch: Batch, constants: Constants, use: Callable[[Tensor], Tensor | None]
    ) -> list[Tensor | None]:
        """Use the mean loss of each run, as many runs at a time as fit into memory."""
        clean = clean_trace(self._model, batch)
        logits = clean.logits(self._model, batch.read_at)[0]
        answers = logits.argmax(-1)
        wanted = answer_probability(logits, answers)
        at_once = rows_that_fit(self._model, *batch.clean.shape)
        found = []
        for start in range(0, len(self._layers), at_once):
            part = slice(start, start + at_once)
            layers = self._layers[part]
            own = constants.expand(len(self._layers), -1)[part]
            streams = with_subjects(self._model, batch, own[:, None, None])
            asked = self._group.restoration(batch, layers)
            rows = own_logits(self._model, batch, clean, streams, asked, first_positions(batch))
            loss = (wanted - answer_probability(rows, answers)).relu().mean(1)
            found.append(use(loss))
        return found

    def _best(self, trained: Constants) -> Constants:
        """For each run, the best on the training facts of what was trained, the mean and zero."""
        mean = self._mean.expand_as(trained)
        candidates = torch.stack([trained, mean, torch.zeros_like(trained)])
        losses = torch.stack([self.losses(one) for one in candidates])
        if self._recipe.shared:
            losses = losses.sum(1, keepdim=True).expand_as(losses)
        chosen = losses.argmin(0).to(trained.device)
        return candidates[chosen, torch.arange(len(trained), device=trained.device)]

    def _digest(self) -> str:
        recipe, layers = self._recipe, [sorted(chosen) for chosen in self._layers]
        return digest([list(self._facts.ids), vars(recipe), layers])


def _kept(path: Path, facts: dict[str, str]) -> Constants | None:
    """What a killed run kept, if it answers the same question and is whole."""
    try:
        tensors, written = read_tensors(path)
    except UserError:
        return None
    return tensors["constants"] if written == facts else None
