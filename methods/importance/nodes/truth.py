"""Where measured effects are kept: a folder for each prompt pair, and a file in it for each layer.

A folder's name says all that its numbers depend on, so another method, seed, batch size or padding
finds it again, and another question does not. Each file says the same of itself and has a digest:
one that is damaged, or lies where another belongs, is measured anew. What it took is kept beside
the effects and counted whenever they are used, so a record's cost is the same whoever measured.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.digests import digest
from benchmark.effects.nodes.exact import exact_node_effects, passes_for
from benchmark.effects.nodes.nodes import NodeKind, NodePositions, Nodes
from benchmark.effects.nodes.patching import SiteRun
from benchmark.errors import UserError
from benchmark.meter import count_parts, uncounted
from benchmark.metric import Metric, Objective
from benchmark.models.choice import files_digest
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import NO_ANSWER, Batch
from benchmark.tensors import read_tensors, write_tensors

# To be raised when the same question has other answers.
VERSION = 3
NAME_LENGTH = 24
log = logging.getLogger("benchmark")


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
            return KeptEffects(None, ())
        asked = self._in_plain_values()
        digests = tuple(digest([asked, *pair]) for pair in _unpadded(batch))
        return KeptEffects(self.folder / "patching", digests)

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


@dataclass(frozen=True, eq=False)
class LayerEffects:
    """What is known of the nodes of one layer.

    Attributes:
        effects: of each node, for each pair.
        passes: forward passes that each pair's effects take.
    """

    effects: Float[Tensor, "batch layer_nodes"]
    passes: Float[Tensor, " batch"]


@dataclass(frozen=True)
class KeptEffects:
    """The files of a batch of pairs.

    Attributes:
        folder: where all are kept, or None to keep none.
        questions: of each pair, the digest of all that its effects depend on.
    """

    folder: Path | None
    questions: tuple[str, ...]

    def read(self, layer: int) -> LayerEffects | None:
        """The effects of a layer, if they are there, whole, for all pairs."""
        if self.folder is None:
            return None
        found = []
        for question in self.questions:
            path = _file(self.folder, question, layer)
            if not path.exists():
                return None
            try:
                tensors, facts = read_tensors(path)
            except UserError as error:
                log.warning("effects are measured anew: %s", error)
                return None
            if facts != _facts(question, layer):
                log.warning("effects are measured anew: %s answers another question", path)
                return None
            found.append((tensors["effects"], tensors["passes"]))
        return LayerEffects(*map(torch.stack, zip(*found, strict=True)))

    def write(self, layer: int, found: LayerEffects) -> None:
        """Keep the effects of a layer, each pair's file atomically."""
        if self.folder is None:
            return
        pairs = zip(self.questions, found.effects, found.passes, strict=True)
        for question, effects, passes in pairs:
            path = _file(self.folder, question, layer)
            tensors = {"effects": effects, "passes": passes}
            write_tensors(path, tensors, _facts(question, layer))


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


def _file(folder: Path, question: str, layer: int) -> Path:
    return folder / question[:NAME_LENGTH] / f"layer{layer}.safetensors"


def _facts(question: str, layer: int) -> dict[str, str]:
    return {"question": question, "layer": str(layer)}


def exhaustive_effects(
    model: LanguageModel,
    batches: Sequence[Batch],
    nodes: Nodes,
    objective: Objective,
    question: Question,
) -> Float[Tensor, "pairs nodes"]:
    """The effect of every node for every pair, on the CPU.

    Passes are counted as if all were measured now, each pair by itself.

    Args:
        model: the model.
        batches: the pairs; in each, `clean` is run and `corrupted` gives the values.
        nodes: which nodes.
        objective: the metric.
        question: the same in plain values, and where its answers are kept.
    """
    n_layers = model.shape.n_layers

    def of_batch(batch: Batch) -> Float[Tensor, "batch nodes"]:
        kept, clean, layers = question.about(batch), None, []
        with uncounted():
            for layer in range(n_layers):
                found = kept.read(layer)
                if found is None:
                    clean = clean or SiteRun.of(model, batch, keep_first=question.keep_first)
                    effects = exact_node_effects(model, clean, nodes, layer, objective).cpu()
                    found = LayerEffects(effects, passes_for(model, clean, nodes, layer).cpu())
                    kept.write(layer, found)
                layers.append(found)
                progress.update()
        # Beside the two runs of each pair.
        count_parts(2 * len(batch) + sum(float(found.passes.sum()) for found in layers))
        return torch.cat([found.effects for found in layers], 1)

    total = len(batches) * n_layers
    with tqdm(total=total, desc="patching", disable=None, leave=False) as progress:
        return torch.cat([of_batch(batch) for batch in batches])
