"""Exhaustive activation patching of prompt pairs, kept on disk layer by layer.

The truth of a pair under a model depends on neither method nor seed, so all records of a results
folder share it, and a measurement that was killed goes on where it was.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from benchmark.batch import Batch
from benchmark.cell import files_digest
from benchmark.exact_nodes import exact_node_effects
from benchmark.files import replacing
from benchmark.patching import PatchPoint

if TYPE_CHECKING:
    from methods.importance.node_problem import NodeProblem

# To be raised when the same pair gives other effects.
VERSION = 1


def exhaustive_effects(asked: "NodeProblem") -> Float[Tensor, "pairs nodes"]:
    """The effect of every node for every pair, on the CPU."""
    steps = len(asked.batches) * asked.model.shape.n_layers
    with tqdm(total=steps, desc="patching", disable=None, leave=False) as progress:
        return torch.cat([_of_batch(asked, batch, progress.update) for batch in asked.batches])


def _of_batch(
    asked: "NodeProblem", batch: Batch, done: Callable[[], object]
) -> Float[Tensor, "batch nodes"]:
    places = _places(asked, batch)
    point, layers = None, []
    for layer in range(asked.model.shape.n_layers):
        found = _kept(places, layer)
        if found is None:
            point = point or PatchPoint.of(asked.model, batch, keep_first=asked.keep_first)
            found = exact_node_effects(asked.model, point, asked.nodes, layer, asked.objective)
            found = found.cpu()
            _keep(places, layer, found)
        layers.append(found)
        done()
    return torch.cat(layers, 1)


def _places(asked: "NodeProblem", batch: Batch) -> list[Path] | None:
    """A folder for each pair of a batch, named by all that its effects depend on."""
    shared = asked.problem.shared_folder
    if shared is None:
        return None
    model, metric = asked.model, asked.problem.metric
    setting = [
        VERSION,
        [model.source, model.revision, files_digest(model.name), str(model.dtype)],
        [type(metric).__qualname__, {name: str(value) for name, value in asdict(metric).items()}],  # type: ignore[call-overload]
        [asked.settings.nodes.value, asked.settings.positions.value, asked.keep_first],
    ]
    pairs = zip(
        *(x.tolist() for x in (batch.clean, batch.corrupted, batch.answers, batch.wrong)),
        batch.lengths.tolist(),
        batch.read_at.tolist(),
        strict=True,
    )
    return [shared / "patching" / _name([setting, _unpadded(*pair)]) for pair in pairs]


def _unpadded(
    clean: list[int],
    corrupted: list[int],
    answers: list[int],
    wrong: list[int],
    length: int,
    read_at: int,
) -> list[list[int]]:
    """A pair without what depends on the prompts beside it."""
    tokens = [[t for t in side if t >= 0] for side in (answers, wrong)]
    return [clean[:length], corrupted[:length], *tokens, [read_at]]


def _name(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _file(place: Path, layer: int) -> Path:
    return place / f"layer{layer}.safetensors"


def _kept(places: list[Path] | None, layer: int) -> Float[Tensor, "batch layer_nodes"] | None:
    """The effects of a layer, if they are there, whole, for all pairs."""
    if places is None:
        return None
    try:
        return torch.stack([load_file(_file(place, layer))["effects"] for place in places])
    except (OSError, SafetensorError, KeyError):
        return None


def _keep(places: list[Path] | None, layer: int, effects: Tensor) -> None:
    for place, of_pair in zip(places or [], effects, strict=places is not None):
        with replacing(_file(place, layer)) as temporary:
            save_file({"effects": of_pair.contiguous()}, temporary)
