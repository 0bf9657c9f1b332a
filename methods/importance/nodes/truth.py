"""Where measured effects are kept: a folder for each prompt pair, and a file in it for each layer.

A folder's name says all that its numbers depend on, so another method, seed, batch size or padding
finds it again, and another question does not.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.effects.nodes.exact import exact_node_effects
from benchmark.effects.nodes.nodes import NodeKind, NodePositions, Nodes
from benchmark.effects.nodes.patching import PatchPoint
from benchmark.files import replacing
from benchmark.metric import Metric, Objective
from benchmark.models.choice import files_digest
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import NO_ANSWER, Batch

# To be raised when the same question has other answers.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Question:
    """What effects depend on beside the pair.

    Attributes:
        folder: where answers are kept, or None to keep none.
        model: whose effects.
        metric: on what.
        nodes: of which nodes.
        positions: each position by itself, or all at once.
        keep_first: position 0 (BOS) is left as it is.
    """

    folder: Path | None
    model: LanguageModel
    metric: Metric
    nodes: NodeKind
    positions: NodePositions
    keep_first: bool

    def about(self, batch: Batch) -> "KeptEffects":
        """Where the effects of these pairs are, or will be."""
        if self.folder is None:
            return KeptEffects(None)
        asked = self._in_plain_values()
        names = (_name([asked, *pair]) for pair in _unpadded(batch))
        return KeptEffects(tuple(self.folder / "patching" / name for name in names))

    def _in_plain_values(self) -> list[Any]:
        model, metric = self.model, self.metric
        files = files_digest(model.name) or [model.source, model.revision]
        settings: Any = metric
        return [
            VERSION,
            [files, str(model.dtype)],
            [type(metric).__qualname__, {k: str(v) for k, v in asdict(settings).items()}],
            [self.nodes.value, self.positions.value, self.keep_first],
        ]


@dataclass(frozen=True)
class KeptEffects:
    """The files of a batch of pairs."""

    places: tuple[Path, ...] | None

    def read(self, layer: int) -> Float[Tensor, "batch layer_nodes"] | None:
        """The effects of a layer, if they are there, whole, for all pairs."""
        if self.places is None:
            return None
        try:
            return torch.stack([load_file(_file(p, layer))["effects"] for p in self.places])
        except (OSError, SafetensorError, KeyError):
            return None

    def write(self, layer: int, effects: Float[Tensor, "batch layer_nodes"]) -> None:
        """Keep the effects of a layer, each pair's file atomically."""
        if self.places is None:
            return
        for place, of_pair in zip(self.places, effects, strict=True):
            with replacing(_file(place, layer)) as temporary:
                save_file({"effects": of_pair.contiguous()}, temporary)


def _unpadded(batch: Batch) -> list[list[Any]]:
    """Each pair without what depends on the prompts beside it."""
    return [
        [
            batch.clean[row, :length].tolist(),
            batch.corrupted[row, :length].tolist(),
            *(side[side != NO_ANSWER].tolist() for side in (batch.answers[row], batch.wrong[row])),
            int(batch.read_at[row]),
        ]
        for row, length in enumerate(batch.lengths.tolist())
    ]


def _name(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _file(place: Path, layer: int) -> Path:
    return place / f"layer{layer}.safetensors"


def exhaustive_effects(
    model: LanguageModel,
    batches: Sequence[Batch],
    nodes: Nodes,
    objective: Objective,
    question: Question,
) -> Float[Tensor, "pairs nodes"]:
    """The effect of every node for every pair, on the CPU.

    Args:
        model: the model.
        batches: the pairs; in each, `clean` is run and `corrupted` gives the values.
        nodes: which nodes.
        objective: the metric.
        question: the same in plain values, and where its answers are kept.
    """
    n_layers = model.shape.n_layers

    def of_batch(batch: Batch) -> Float[Tensor, "batch nodes"]:
        kept, point, layers = question.about(batch), None, []
        for layer in range(n_layers):
            found = kept.read(layer)
            if found is None:
                point = point or PatchPoint.of(model, batch, keep_first=question.keep_first)
                found = exact_node_effects(model, point, nodes, layer, objective).cpu()
                kept.write(layer, found)
            layers.append(found)
            progress.update()
        return torch.cat(layers, 1)

    total = len(batches) * n_layers
    with tqdm(total=total, desc="patching", disable=None, leave=False) as progress:
        return torch.cat([of_batch(batch) for batch in batches])
