"""What every layer of a model would say after every token of a prompt, by one lens or several.

lens = configured("method", "oca_lens").fit(model, [batch])
rows = trajectory({"OCA": lens}, "The capital of France is")
figure = draw_trajectory(rows)

The study makes the same from the command line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.states import states_at
from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.prompts.encoding import PromptEncoder
from methods.lens.fitted import FittedLens, lens_logits
from methods.lens.judging.chosen import chosen_lens, digest_of_chosen
from methods.lens.lens import ONE_ABLATION
from methods.lens.report.trajectory import draw_trajectory as draw_trajectory
from methods.ranges import check_counts


@dataclass(frozen=True)
class PromptTrajectory:
    """Settings of the study; see conf/method/lens_trajectory.yaml."""

    lenses: list[str]
    steps: int | None
    prompt: str | None
    kind: ClassVar[str] = "lens_trajectory"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check what is listed."""
        check_counts(self, "steps")
        if self.prompt == "":
            raise UserError(
                "method.prompt is empty; give a text, or null for the first test prompt"
            )
        if not self.lenses or len(set(self.lenses)) < len(self.lenses):
            raise UserError(f"method.lenses={self.lenses} must name one lens or more, none twice")

    def unsupported(self, problem: Problem) -> str | None:
        """One name for the ablation, so that nothing is made twice."""
        return None if problem.ablation.traits.from_corrupted else ONE_ABLATION

    def data_digest(self) -> str | None:
        """A digest of the lenses that are read from files, or None.

        Raises:
            UserError: one is no lens, or cannot be read.
        """
        return digest_of_chosen(self.lenses)

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Fit the lenses, and read the prompt, or the first of the held-out ones."""
        with metering() as cost:
            lenses = {
                name: chosen_lens(name, self.steps).fit(
                    problem.model,
                    problem.batches,
                    seed=problem.seed,
                    checkpoint=problem.checkpoint(name),
                )
                for name in self.lenses
            }
        first = held_out[0]
        tokens = first.clean[0, : int(first.lengths[0])].tolist()
        with metering() as judging:
            table = trajectory(lenses, self.prompt or tokens)
        last = table[table["position"] == table["position"].max()]
        of_model = last[last["layer"] == last["layer"].max()].iloc[0]
        summary = {name: float(of_model[name]) for name in ("probability", "entropy")}
        return Findings(table, {}, summary, cost, judging)


def trajectory(
    lenses: Mapping[str, FittedLens], prompt: str | Sequence[int], *, prepend_bos: bool = True
) -> pd.DataFrame:
    """A row for each lens, layer and token: what the lens says comes next.

    Args:
        lenses: lenses of one model, by the name that they are shown under.
        prompt: a text, or token ids as they are.
        prepend_bos: begin a text with the tokenizer's BOS token (EOS, if it has no BOS).

    Returns:
        Columns lens, layer (the last one is the model itself), position, token (what is read
        there), top (the likeliest next token), probability (its), entropy (in nats).

    Raises:
        UserError: there is no lens, they read different models, or the prompt is empty or too long.
    """
    model = _model_of(lenses)
    ids = _encoded(model, prompt, prepend_bos) if isinstance(prompt, str) else list(prompt)
    if not ids:
        raise UserError("the prompt has no tokens")
    tokens = torch.tensor([ids])
    states = states_at(model, tokens, torch.ones_like(tokens, dtype=torch.bool)).before
    words = [str(model.tokenizer.decode([token])) for token in ids]
    rows = (
        {"lens": name, "layer": layer, "position": position, "token": words[position], **said}
        for name, lens in lenses.items()
        for layer, state in enumerate(states)
        for position, said in enumerate(_said(model, lens, state, layer))
    )
    return pd.DataFrame(rows)


@torch.no_grad()
def _said(
    model: LanguageModel, lens: FittedLens, states: Tensor, layer: int
) -> list[dict[str, Any]]:
    """What a lens says at every place of a layer."""
    log_p = lens_logits(lens, states, layer).log_softmax(-1)
    best, top = log_p.max(-1)
    entropy = -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(-1)
    words = [str(model.tokenizer.decode([token])) for token in top.tolist()]
    numbers = zip(words, best.exp().tolist(), entropy.tolist(), strict=True)
    return [{"top": top, "probability": p, "entropy": nats} for top, p, nats in numbers]


def _encoded(model: LanguageModel, prompt: str, prepend_bos: bool) -> list[int]:
    start = PromptEncoder(model.tokenizer, prepend_bos).start
    return [*start, *model.tokenizer.encode(prompt, add_special_tokens=False)]


def _model_of(lenses: Mapping[str, FittedLens]) -> LanguageModel:
    models = {id(lens.model): lens.model for lens in lenses.values()}
    if len(models) != 1:
        raise UserError("give one or more lenses of one model")
    (model,) = models.values()
    if not isinstance(model, LanguageModel):
        raise UserError("a trajectory needs the model's tokenizer; load the model by load_model")
    return model
