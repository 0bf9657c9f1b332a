"""The loop that trains lenses: every step some places of the text, all layers side by side.

Where the states of the text are kept, a step runs what the lens itself does and no layer's
attention; of a text that is too long for that, it begins with a plain pass of its prompts. Steps
draw their places by seeds of their own, so a resumed run continues exactly.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.errors import UserError
from benchmark.forward.states import States
from benchmark.meter import metering
from benchmark.seeds import generator
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from methods.lens.fitted import FittedLens
from methods.lens.fitting.loss import divergences_with_gradient
from methods.lens.fitting.text import TextStates

CHECKPOINT_EVERY = 100
# The final states that a lens should give: a row for every layer, or one for all.
Target = Callable[[States], Float[Tensor, "rows places d_model"]]


@dataclass(frozen=True)
class Recipe:
    """How a lens is trained: AdamW, `steps` steps of `batch_size` places."""

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int


def models_own(states: States) -> Float[Tensor, "1 places d_model"]:
    """The true final states, which serve every layer."""
    return states.before[-1:]


def train(
    lens: FittedLens,
    states: TextStates,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    target: Target = models_own,
) -> Float[Tensor, "steps layers"]:
    """Train those of a lens's tensors that ask for a gradient, in place; give the losses in nats.

    The loss is the sum over layers of the mean KL(target || lens) (Li & Janson 2024, section 5).

    Raises:
        UserError: the checkpoint is of another training, or a loss is not finite.
    """
    training = _Training(lens, states, recipe, seed, target)
    with metering() as spent:
        if checkpoint is not None:
            training.resume(checkpoint)
        bar = tqdm(
            total=recipe.steps, initial=training.step, desc="lens", disable=None, leave=False
        )
        with bar as progress:
            while training.step < recipe.steps:
                training.advance()
                progress.update()
                due = training.step % CHECKPOINT_EVERY == 0 or training.step == recipe.steps
                if due:
                    training.check_finite()
                if checkpoint is not None and due:
                    save_checkpoint(checkpoint, training.state(), spent)
    for parameter in training.parameters:
        parameter.requires_grad_(False)
    return training.losses()


class _Training:
    """A lens, its optimiser and its losses between two steps."""

    def __init__(
        self, lens: FittedLens, states: TextStates, recipe: Recipe, seed: int, target: Target
    ) -> None:
        self._lens, self._states, self._recipe = lens, states, recipe
        self._seed, self._target = seed, target
        self.parameters = [x for x in lens.tensors().values() if x.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self.parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._losses: list[Tensor] = []
        # What a checkpoint must agree with; more steps may be asked for later.
        self._identity = [
            lens.form,
            {**asdict(recipe), "steps": None},
            seed,
            states.digest(),
            self._digest(),
        ]

    @torch.no_grad()
    def _digest(self) -> str:
        """Of what the lens is before the first step, and of what it should say of some states."""
        hasher = hashlib.sha256()
        for x in (*self._lens.tensors().values(), self._target(self._states.beginning)):
            hasher.update(x.detach().float().cpu().numpy().tobytes())
        return hasher.hexdigest()

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self._losses)

    def advance(self) -> None:
        """One step of the optimiser."""
        draw = generator(self._seed, "places of a lens", self.step)
        order = torch.randperm(self._states.n_places, generator=draw)
        some = self._states.select(order[: self._recipe.batch_size])
        finals = self._lens.finals(some.before[:-1])
        found = divergences_with_gradient(self._lens.model, finals, self._target(some))
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._losses.append(found.mean(-1))

    def losses(self) -> Float[Tensor, "steps layers"]:
        """Of every step so far."""
        n_layers = self._lens.model.shape.n_layers
        return torch.stack(self._losses) if self._losses else torch.zeros(0, n_layers)

    def check_finite(self) -> None:
        """Refuse to go on with a loss that is not a number."""
        if not bool(self._losses[-1].isfinite().all()):
            raise UserError(
                f"the loss of a lens is not finite after {self.step} steps; give a smaller "
                "method.learning_rate, or model.dtype=float32"
            )

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "parameters": [x.detach() for x in self.parameters],
            "optimizer": self._optimizer.state_dict(),
            "losses": self.losses(),
            "identity": self._identity,
        }

    def resume(self, checkpoint: Path) -> None:
        """Continue from a checkpoint if there is one."""
        state = load_checkpoint(checkpoint, self._lens.model.device)
        if state is None:
            return
        if state.get("identity") != self._identity:
            raise UserError(
                f"{checkpoint} was made with another model, text or settings; give another path"
            )
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        self._losses = list(state["losses"])
        if self.step > self._recipe.steps:
            raise UserError(
                f"{checkpoint} holds {self.step} steps, more than steps={self._recipe.steps}; ask "
                "for as many, or give another path"
            )
