"""Which head of a model computes which variable of the causal graph."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from benchmark.errors import UserError
from benchmark.pretraining.known_circuit.causal_graph import READS, VARIABLES
from benchmark.pretraining.known_circuit.interchange import Activations, Replacing


@dataclass(frozen=True)
class Circuit:
    """Which head computes which variable, as masks over layers and heads."""

    heads: dict[str, tuple[int, int]]
    n_layers: int
    n_heads: int

    @classmethod
    def of(cls, names: dict[str, str], n_layers: int, n_heads: int) -> "Circuit":
        """The circuit of heads named like `a0.h1`.

        Raises:
            UserError: a variable has no head, or a head is not the model's or comes too early.
        """
        if set(names) != set(VARIABLES):
            raise UserError(f"circuit must name a head for each of {', '.join(VARIABLES)}")
        found = {
            variable: re.fullmatch(r"a(\d+)\.h(\d+)", name) for variable, name in names.items()
        }
        for variable, match in found.items():
            if match is None:
                raise UserError(f"circuit.{variable}={names[variable]} is not a head such as a0.h1")
        if len(set(names.values())) < len(names):
            raise UserError("circuit gives one head to two variables; give each its own")
        heads = {
            variable: (int(match[1]), int(match[2])) for variable, match in found.items() if match
        }
        for variable, (layer, head) in heads.items():
            earlier = [heads[other][0] for other in READS[variable] if other != "prompt"]
            if not (max(earlier, default=-1) < layer < n_layers and head < n_heads):
                raise UserError(
                    f"circuit.{variable}={names[variable]} is not a head of this model that comes "
                    "after those it reads"
                )
        return cls(heads, n_layers, n_heads)

    def nothing(self, n_prompts: int) -> tuple[Bool[Tensor, "batch layers heads"], Tensor]:
        """Masks that choose no head and no MLP."""
        heads = torch.zeros(n_prompts, self.n_layers, self.n_heads, dtype=torch.bool)
        return heads, torch.zeros(n_prompts, self.n_layers, dtype=torch.bool)

    def of_variables(self, where: dict[str, Tensor], values: Activations) -> Replacing:
        """The replacement of these variables' heads in these prompts."""
        heads, mlps = self.nothing(len(next(iter(where.values()))))
        for variable, prompts in where.items():
            layer, head = self.heads[variable]
            heads[:, layer, head] = prompts
        return Replacing(values, heads, mlps)

    def outside(self, n_prompts: int) -> tuple[Bool[Tensor, "batch layers heads"], Tensor]:
        """Masks of every node outside the circuit."""
        heads, mlps = (~mask for mask in self.nothing(n_prompts))
        for layer, head in self.heads.values():
            heads[:, layer, head] = False
        return heads, mlps

    def unread(self) -> list[tuple[int, int, int]]:
        """Layer and head of a variable, and the layer of a later reader that is not to read it.

        The layer after the last stands for the logits, which read the name mover alone.
        """
        readers = [(name, self.heads[name][0], READS[name]) for name in VARIABLES]
        readers.append(("logits", self.n_layers, ("name_mover",)))
        return [
            (*self.heads[variable], layer)
            for name, layer, reads in readers
            for variable in VARIABLES
            if variable not in (name, *reads) and self.heads[variable][0] < layer
        ]

    @torch.no_grad()
    def silence_others(self, model: Any) -> None:  # noqa: ANN401 - Hugging Face's GPT2LMHeadModel
        """Let nodes outside the circuit write nothing at first."""
        heads, _ = self.outside(1)
        for layer, block in enumerate(model.transformer.h):
            writes = block.attn.c_proj.weight
            writes.view(self.n_heads, -1, writes.shape[1])[heads[0, layer]] = 0
            block.mlp.c_proj.weight.zero_()

    def edges(self) -> list[str]:
        """The reference edges: what each variable reads, by each input of its head."""
        edges = []
        for variable, reads in READS.items():
            for other in reads:
                source = "input" if other == "prompt" else self._name(other)
                edges += [f"{source}->{self._name(variable)}<{letter}>" for letter in "qkv"]
        return [*edges, f"{self._name('name_mover')}->logits"]

    def _name(self, variable: str) -> str:
        return "a{}.h{}".format(*self.heads[variable])
