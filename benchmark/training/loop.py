"""The loop that trains masks, ablation constants, or both, on the loss gap.

Each step draws its prompts and masks by seeds of its own, so a resumed run continues exactly.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.errors import UserError
from benchmark.forward.memory import training_prompts_that_fit
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.forward.values import SourceValues, for_masks
from benchmark.meter import metering
from benchmark.metric import KLDivergence
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.learner import LearnedConstants
from benchmark.training.sampler import MaskSampler
from benchmark.transformer.transformer import Transformer

CHECKPOINT_EVERY = 100


class MaskedTraining:
    """Masks, replacement and losses between two steps.

    The clean logits of the whole pool are kept once computed: prompts x vocabulary numbers.

    Args:
        model: the model.
        pool: the prompts that steps are drawn from; on the CPU, no step makes a GPU wait.
        sampler: the masks, which may learn.
        replacement: what ablated edges carry in a batch and step; constants learn if they are
            `LearnedConstants`, several sets of them serving equally many neighbouring masks each.
        batch_size: prompts per step.
        seed: of the choice of prompts.
        name: of a replacement that does not learn, for the checkpoint.
        neurons: see `masked_logits`; they stand still.
    """

    def __init__(
        self,
        model: Transformer,
        pool: Batch,
        sampler: MaskSampler,
        replacement: Callable[[Batch, int], SourceValues],
        *,
        batch_size: int,
        seed: int,
        name: str = "",
        neurons: Float[Tensor, "*masks src d_model"] | None = None,
    ) -> None:
        self._model, self._pool = model, pool
        self._sampler, self._replacement, self._neurons = sampler, replacement, neurons
        self._learner = replacement if isinstance(replacement, LearnedConstants) else None
        self._batch_size, self._seed = batch_size, seed
        self._clean = _CleanLogits(model, pool, batch_size)
        self._losses: list[Tensor] = []
        self._kl = KLDivergence()
        # What a checkpoint must agree with; more steps may be asked for later.
        self._identity = {
            "training": [batch_size, seed, type(sampler).__qualname__],
            "ablation": self._learner.identity() if self._learner else ["given", name],
            "graph": list(asdict(model.graph).values()),
            "prompts": _digest(pool),
        }
        if neurons is not None:
            content = neurons.float().cpu().numpy().tobytes()
            self._identity["neurons"] = hashlib.sha256(content).hexdigest()

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self._losses)

    def run(self, steps: int, checkpoint: Path | None = None, label: str = "training") -> None:
        """Train until `steps` steps are done; on a terminal, with a progress bar.

        Args:
            steps: steps in all, those of a checkpoint included.
            checkpoint: a file to resume from and to save to every 100 steps. What it had cost
                is counted again, as the steps of this run are.
            label: what the progress bar says.

        Raises:
            UserError: the checkpoint is of another training, or holds more steps.
        """
        with metering() as spent:
            if checkpoint is not None:
                self.resume(checkpoint)
            if self.step > steps:
                raise UserError(
                    f"{checkpoint} holds {self.step} steps, more than steps={steps}; ask for as "
                    "many, or give another path"
                )
            bar = tqdm(total=steps, initial=self.step, desc=label, disable=None, leave=False)
            with bar as progress:
                while self.step < steps:
                    self.advance()
                    progress.update()
                    due = self.step % CHECKPOINT_EVERY == 0 or self.step == steps
                    if checkpoint is not None and due:
                        save_checkpoint(checkpoint, self.state(), spent)

    def advance(self) -> None:
        """One step of the optimisers.

        Where nothing but constants learns, which may be on many prompts, a step has as many passes
        as memory asks for, whose gradients add up.
        """
        random = generator(self._seed, "constants", self.step)
        rows = torch.randperm(len(self._pool), generator=random)[: self._batch_size]
        batch = self._pool.select(rows).trimmed()
        masks, at_once = self._sampler.sample(self.step), len(rows)
        if self._learner and not masks.requires_grad:
            at_once = training_prompts_that_fit(self._model, len(masks), batch.n_positions)
        gap = torch.zeros(len(masks), dtype=self._model.stream_dtype, device=self._model.device)
        for part in torch.arange(len(rows)).split(at_once):
            share = self._gap(batch.select(part), rows[part], masks)
            share = share * (len(part) / len(rows))
            loss = share.sum()
            (loss if part[-1] + 1 < len(rows) else loss + self._sampler.price()).backward()
            gap += share.detach()
        if self._learner:
            self._learner.update()
        self._sampler.update()
        self._losses.append(gap)

    def _gap(self, batch: Batch, rows: Tensor, masks: Tensor) -> Float[Tensor, " masks"]:
        """The mean loss gap of some prompts, which are `rows` of the pool."""
        values = for_masks(self._replacement(batch, self.step), self._sampler.n_masks)
        logits = masked_logits(
            self._model,
            masks,
            batch,
            values,
            constants_learn_below=self._learner and self._learner.constants_learn_below,
            neurons=self._neurons,
        )
        return self._kl(logits, batch, self._clean.of(rows)).mean(-1)

    def losses(self) -> Float[Tensor, "steps masks"]:
        """The mean loss gap in nats of each step and mask."""
        return torch.stack(self._losses) if self._losses else torch.zeros(0, 0)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "values": self._learner.state() if self._learner else {},
            "losses": self.losses(),
            "sampler": self._sampler.state(),
            "identity": self._identity,
            "clean_logits": self._first_logits(),
        }

    def _first_logits(self) -> Float[Tensor, "1 vocab"]:
        """The full model's logits of the first prompt, to know the model by."""
        return self._clean.of(torch.zeros(1, dtype=torch.long))

    def _same_model(self, clean_logits: Tensor) -> bool:
        mine = self._first_logits()
        same_size = clean_logits.shape == mine.shape
        return same_size and torch.allclose(clean_logits, mine, rtol=1e-3, atol=1e-2)

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint if there is one.

        Raises:
            UserError: it was made with another model, other prompts, masks or settings.
        """
        state = load_checkpoint(checkpoint, self._model.device)
        if state is None:
            return
        if not self.state().keys() <= state.keys():
            raise UserError(f"{checkpoint} is not a checkpoint of training; give another path")
        if state["identity"] != self._identity or not self._same_model(state["clean_logits"]):
            raise UserError(
                f"{checkpoint} was made with another model, other prompts or other settings; give "
                "another path"
            )
        self._sampler.restore(state["sampler"])
        if self._learner:
            self._learner.restore(state["values"])
        self._losses = list(state["losses"])


def _digest(pool: Batch) -> str:
    """A hash of the prompts and of where they are read."""
    text = [*pool.ids, str(pool.clean.tolist()), str(pool.read_at.tolist())]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


class _CleanLogits:
    """The full model's logits of a pool of prompts, computed when first needed.

    They are computed in fixed chunks, because the last bits of a logit depend on which prompts
    share its pass, and a resumed run must see the same bits.
    """

    def __init__(self, model: Transformer, pool: Batch, chunk: int) -> None:
        self._model, self._chunks, self._chunk = model, pool.split(chunk), chunk
        self._known: dict[int, Tensor] = {}

    @torch.no_grad()
    def of(self, rows: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """The logits of some prompts."""
        return torch.stack(
            [self._of_chunk(row // self._chunk)[row % self._chunk] for row in rows.tolist()]
        )

    def _of_chunk(self, index: int) -> Float[Tensor, "chunk vocab"]:
        if index not in self._known:
            batch = self._chunks[index].trimmed()
            self._known[index] = clean_logits(self._model, batch.clean, batch.read_at)
        return self._known[index]
