"""Strict interchange intervention training of the semi-synthetic model (Gupta et al. 2024).

Each step adds three losses (arXiv 2407.14494, section 3). Behaviour: the model answers as the
causal graph does. Interchange: with the nodes of some variables taken from another prompt's run,
it answers as the graph does with those variables exchanged; some are fixed to their own run's
value at the same time, so that a variable acts only through the variables that read it. Strict:
with nodes outside the circuit taken from another prompt's run, nothing changes. The paper replaces
nodes; here connections between the circuit's heads that the graph does not have are replaced too,
so that the reference is a circuit of edges. In the first steps a fourth loss says where the
circuit's heads should look.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.pretraining.corpus import zoo_tokenizer
from benchmark.pretraining.known_circuit.causal_graph import VARIABLES, Values, run, target
from benchmark.pretraining.known_circuit.circuit import Circuit
from benchmark.pretraining.known_circuit.hints import attention_loss
from benchmark.pretraining.known_circuit.interchange import (
    Activations,
    Replacing,
    Rewiring,
    next_token_logits,
)
from benchmark.pretraining.known_circuit.prompts import PromptRuns, Skeletons, skeletons
from benchmark.pretraining.loop import ZooRun
from benchmark.pretraining.saving import initial_model, save_zoo_model
from benchmark.prompts.task import Split
from benchmark.seeds import generator

# How often a variable is taken from the other prompt, or fixed to its own, in the interchange loss.
EXCHANGED, FIXED = 0.3, 0.2
N_EVALUATED = 1000


@dataclass(frozen=True)
class StrictInterchangeTraining(ZooRun):
    """Settings of the training; see conf/zoo/known_circuit.yaml."""

    circuit: dict[str, str]
    vocabulary: list[str]
    n_skeletons: int
    behaviour_weight: float
    interchange_weight: float
    strict_weight: float
    hint_weight: float
    hint_steps: int

    def run(self, command: str) -> Path:
        """Train, or go on training, and return the directory of the finished model.

        Args:
            command: what the user typed, for the card.
        """
        n_layers, n_heads = self.architecture["n_layer"], self.architecture["n_head"]
        circuit = Circuit.of(self.circuit, n_layers, n_heads)
        tokenizer = zoo_tokenizer(self.vocabulary, self.architecture["n_positions"])
        prompts = skeletons(tokenizer, Split.train, self.n_skeletons)
        held_out = skeletons(tokenizer, Split.test, self.n_skeletons).without(prompts)
        model = initial_model(self.architecture, len(tokenizer), self.seed)
        circuit.silence_others(model)

        def validate() -> dict[str, float]:
            return interchange_scores(model, circuit, held_out, self.seed)

        seconds = self.train(
            model,
            prompts.digest(),
            lambda step: self._backward(model, circuit, prompts, step),
            validate,
        )
        facts = {
            "command": command,
            "seed": self.seed,
            "data_hash": prompts.digest(),
            "steps": self.steps,
            "seconds": round(seconds),
            "settings": self.settings(),
            "interchange": validate(),
        }
        reference = {
            "task": "ioi",
            "source": "by construction: strict interchange intervention training "
            "(Gupta et al. 2024, arXiv 2407.14494)",
            "definition": "all inputs of a variable's head from each variable that it reads",
            "edges": circuit.edges(),
        }
        return save_zoo_model(
            model,
            tokenizer,
            self.name,
            self.directory,
            facts,
            self.scored,
            self.n_scored,
            reference,
        )

    def _backward(
        self,
        model: Any,  # noqa: ANN401
        circuit: Circuit,
        prompts: Skeletons,
        step: int,
    ) -> float:
        draw = generator(self.seed, "step", step)
        runs = prompts.sample(self.batch_size, draw)
        own, other = run(runs.names), run(runs.other_names)
        logits, mine = next_token_logits(model, runs.tokens, runs.read_at)
        _, theirs = next_token_logits(model, runs.other_tokens, runs.read_at)

        replacing, wanted = _exchange(circuit, runs, (own, mine), (other, theirs), draw)
        exchanged, seen = next_token_logits(model, runs.tokens, runs.read_at, replacing)
        outside, unread = _some_outside(circuit, theirs, draw)
        strict, _ = next_token_logits(model, runs.tokens, runs.read_at, [outside], unread)
        loss = (
            self.behaviour_weight * _loss(logits, own)
            + self.interchange_weight * _loss(exchanged, wanted)
            + self.strict_weight * _loss(strict, own)
        )
        hint = self.hint_weight * (1 - step / self.hint_steps) if step < self.hint_steps else 0.0
        if hint:
            hints = attention_loss(circuit, mine, runs, own)
            loss = loss + hint * (hints + attention_loss(circuit, seen, runs, wanted)) / 2
        loss.backward()
        return loss.item()


@torch.no_grad()
def interchange_scores(
    model: Any,  # noqa: ANN401 - Hugging Face's GPT2LMHeadModel
    circuit: Circuit,
    prompts: Skeletons,
    seed: int,
) -> dict[str, float]:
    """How well the model implements the causal graph on held-out prompts, as shares of prompts.

    `accuracy`: right without interventions. `interchange_VARIABLE`: right with that variable
    exchanged (interchange intervention accuracy). `strict`: right with every node and connection
    outside the circuit taken from another prompt (strict accuracy). Right means that the graph's
    answers, one or two, are the likeliest tokens.
    """
    draw = generator(seed, "interchange scores")
    runs = prompts.sample(N_EVALUATED, draw)
    own, other = run(runs.names), run(runs.other_names)
    everywhere = torch.ones(N_EVALUATED, dtype=torch.bool)
    logits, _ = next_token_logits(model, runs.tokens, runs.read_at)
    _, values = next_token_logits(model, runs.other_tokens, runs.read_at)
    scores = {"accuracy": _accuracy(logits, own)}
    for variable in VARIABLES:
        replacing = circuit.of_variables({variable: everywhere}, values)
        logits, _ = next_token_logits(model, runs.tokens, runs.read_at, [replacing])
        wanted = run(runs.names, {variable: [(everywhere, other)]})
        scores[f"interchange_{variable}"] = _accuracy(logits, wanted)
    outside = Replacing(values, *circuit.outside(N_EVALUATED))
    unread = Rewiring(values, dict.fromkeys(circuit.unread(), everywhere))
    logits, _ = next_token_logits(model, runs.tokens, runs.read_at, [outside], unread)
    return scores | {"strict": _accuracy(logits, own)}


def _exchange(
    circuit: Circuit,
    runs: PromptRuns,
    mine: tuple[Values, Activations],
    theirs: tuple[Values, Activations],
    draw: torch.Generator,
) -> tuple[list[Replacing], Values]:
    """Random variables from the other run, and some fixed to their own; what the graph then says.

    A variable is fixed so that one that comes before it may act only through it.
    """
    drawn = torch.rand(len(VARIABLES), len(runs.tokens), generator=draw)
    exchanged = dict(zip(VARIABLES, drawn < EXCHANGED, strict=True))
    fixed = dict(zip(VARIABLES, drawn > 1 - FIXED, strict=True))
    replaced = {name: [(exchanged[name], theirs[0]), (fixed[name], mine[0])] for name in VARIABLES}
    replacing = [
        circuit.of_variables(exchanged, theirs[1]),
        circuit.of_variables(fixed, mine[1]),
    ]
    return replacing, run(runs.names, replaced)


def _some_outside(
    circuit: Circuit, values: Activations, draw: torch.Generator
) -> tuple[Replacing, Rewiring]:
    """Nodes and connections outside the circuit: in half of the prompts all, else any share."""
    n_prompts = len(values.mlps[0])
    share = torch.rand(n_prompts, 1, generator=draw)
    share = share.where(torch.rand(n_prompts, 1, generator=draw) < 0.5, 1.0)

    def some(*shape: int) -> Tensor:
        return (torch.rand(n_prompts, math.prod(shape), generator=draw) < share).unflatten(1, shape)

    heads, mlps = circuit.outside(n_prompts)
    unread = circuit.unread()
    crossed = some(len(unread)).T
    return (
        Replacing(values, heads & some(*heads.shape[1:]), mlps & some(*mlps.shape[1:])),
        Rewiring(values, dict(zip(unread, crossed, strict=True))),
    )


def _loss(logits: Float[Tensor, "batch vocab"], wanted: Values) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, target(wanted, logits.shape[1]))


def _accuracy(logits: Tensor, wanted: Values) -> float:
    right = target(wanted, logits.shape[1]) > 0
    lowest_right = logits.where(right, torch.inf).amin(1)
    highest_wrong = logits.where(~right, -torch.inf).amax(1)
    return float((lowest_right > highest_wrong).float().mean())
