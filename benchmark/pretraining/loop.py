"""The training loop that all trained models of the zoo share: resumable, and bit for bit.

A step's work depends on its number alone, and the checkpoint holds weights, optimiser, schedule
and step, so a run that was killed ends with the same weights as one that was not.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import trange

from benchmark.config import configured, plain
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.tracking import Tracker, check_mode
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint

LOGGED_EVERY = 100


@dataclass(frozen=True)
class ZooRun:
    """What every training run of the zoo sets; see conf/zoo/train.yaml for each setting."""

    name: str
    directory: str | None
    architecture: dict[str, Any]
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    clip: float
    seed: int
    threads: int
    checkpoint_every: int
    scored: list[str]
    n_scored: int
    tracking: str

    def __post_init__(self) -> None:
        """Check the counts and the names, before hours of training and not after."""
        for name in ("steps", "batch_size", "threads", "checkpoint_every", "n_scored"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)} must be 1 or more")
        for name in self.scored:
            configured("task", name)
        check_mode(self.tracking)

    def settings(self) -> dict[str, Any]:
        """Everything that decides the weights."""
        free = ("name", "directory", "checkpoint_every", "scored", "n_scored", "tracking")
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in free}

    def train(
        self,
        model: torch.nn.Module,
        data: str,
        backward: Callable[[int], float],
        validate: Callable[[], dict[str, float]],
    ) -> float:
        """Train in place from the last checkpoint on; return the seconds of all runs together.

        The checkpoint is NAME.checkpoint in `directory`, or in outputs/zoo of the current folder.

        Args:
            model: the model.
            data: a digest of everything that is trained on.
            backward: adds the gradients of a step and returns its loss.
            validate: scores by name, for the log.

        Raises:
            UserError: the checkpoint is of other settings or data, or damaged.
        """
        torch.set_num_threads(self.threads)
        optimiser = torch.optim.AdamW(
            decayed_apart(model, self.weight_decay), lr=self.learning_rate, betas=(0.9, 0.98)
        )
        schedule = cosine_schedule(optimiser, self.warmup_steps, self.steps)
        parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
        path, facts = (
            Path(self.directory or Path("outputs") / "zoo") / f"{self.name}.checkpoint",
            digest([self.settings(), data]),
        )
        first, seconds = _restore(path, facts, parts)
        began = time.monotonic() - seconds
        # The bar shows on a terminal only; the lines of scores show everywhere.
        steps = trange(
            first, self.steps, initial=first, total=self.steps, desc=self.name, disable=None
        )
        mode = "off" if first == self.steps else self.tracking
        with Tracker(mode, f"{self.name}-{facts[:8]}", self.settings()) as tracker:
            for step in steps:
                loss = backward(step)
                torch.nn.utils.clip_grad_norm_(model.parameters(), self.clip)
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()
                done = step + 1
                if done % LOGGED_EVERY == 0:
                    steps.set_postfix(loss=f"{loss:.3f}")
                    tracker.log(done, {"loss": loss})
                if done % self.checkpoint_every == 0 or done == self.steps:
                    state = {key: part.state_dict() for key, part in parts.items()}
                    passed = {"settings": facts, "step": done, "seconds": time.monotonic() - began}
                    save_checkpoint(path, state | passed)
                    scores = validate()
                    listed = " ".join(f"{name} {value:.3f}" for name, value in scores.items())
                    steps.write(f"step {done}: {listed}")
                    tracker.log(done, scores)
        return time.monotonic() - began


def _restore(path: Path, facts: str, parts: dict[str, Any]) -> tuple[int, float]:
    state = load_checkpoint(path, "cpu")
    if state is None:
        return 0, 0.0
    if state.get("settings") != facts:
        raise UserError(f"{path} is of a run with other settings or data; delete it, or give those")
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return state["step"], state["seconds"]


LAST = 0.01


def cosine_schedule(
    optimiser: torch.optim.Optimizer, warmup_steps: int, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then a cosine down to a hundredth of the largest learning rate."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return LAST + (1 - LAST) * (1 + math.cos(math.pi * progress)) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def decayed_apart(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay; biases and gains do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
