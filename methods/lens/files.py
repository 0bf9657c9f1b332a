"""Lenses in files: this project's own, and those of the tuned-lens and Jacobian-lens packages.

Nothing that could carry code is ever loaded: own files are sealed safetensors, and foreign `.pt`
files are read with weights-only loading. A file names the model that the lens belongs to and has a
digest of its unembedding, which is checked, since a lens of another model gives numbers all the
same.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.models.loading import LanguageModel
from benchmark.tensors import read_tensors, write_tensors
from methods.lens.fitted import (
    ConstantAttentionLens,
    FittedLens,
    ResampledAttentionLens,
    TranslatorLens,
)

FORMAT = "ablation-bench lens 1"
# A record's own lens.
LENS = "lens.safetensors"
TUNED_LENS = "linear_tuned_lens"
PARAMS, CONFIG = "params.pt", "config.json"


def save_lens(lens: FittedLens, path: Path) -> None:
    """Write a lens as one sealed safetensors file, atomically.

    Raises:
        UserError: its model has no name, since it was not loaded by `load_model`.
    """
    write_tensors(path, lens.tensors(), {"format": FORMAT, "form": lens.form, **_facts(lens.model)})


def load_lens(path: Path, model: LanguageModel) -> FittedLens:
    """Read what `save_lens` wrote, for the model that it belongs to.

    Raises:
        UserError: the file is damaged, no lens, or of another model.
    """
    tensors, facts = read_tensors(Path(path))
    if facts.get("format") != FORMAT:
        raise UserError(f"{path} is not a lens; give a file that save_lens wrote")
    _check_model(path, model, facts["unembedding"], f"{facts['model']} {facts['revision']}")
    on_device = {name: tensor.to(model.device) for name, tensor in tensors.items()}
    if facts["form"] == TranslatorLens.form:
        return TranslatorLens(model, on_device.get("weight"), on_device.get("bias"))
    if facts["form"] == ConstantAttentionLens.form:
        return ConstantAttentionLens(model, tuple(on_device[name] for name in sorted(on_device)))
    return ResampledAttentionLens(model, on_device["donors"], int(tensors["seed"]))


def import_tuned_lens(folder: Path, model: LanguageModel) -> TranslatorLens:
    """Read a folder that the tuned-lens package wrote: `params.pt` and `config.json`.

    Its translators add W h + b to the state before their layer.

    Raises:
        UserError: a file is missing or damaged, or belongs to another model.
    """
    folder = Path(folder)
    config = _json(folder / CONFIG)
    if config.get("lens_type", TUNED_LENS) != TUNED_LENS:
        raise UserError(f"{folder} holds a {config['lens_type']!r}; only {TUNED_LENS!r} is read")
    digest = config.get("unembed_hash")
    if digest is not None:
        _check_model(folder, model, digest, str(config.get("base_model_name_or_path")))
    params = _weights_only(folder / PARAMS)
    n_layers, d_model = model.shape.n_layers, model.shape.d_model
    wanted = {f"{layer}.weight": (d_model, d_model) for layer in range(n_layers)}
    wanted |= {f"{layer}.bias": (d_model,) for layer in range(n_layers) if config.get("bias", True)}
    _check_shapes(folder / PARAMS, params, wanted)
    weight = torch.stack([_as_states(params[f"{i}.weight"], model) for i in range(n_layers)])
    weight = weight + torch.eye(d_model, dtype=weight.dtype, device=weight.device)
    if not config.get("bias", True):
        return TranslatorLens(model, weight, None)
    bias = torch.stack([_as_states(params[f"{i}.bias"], model) for i in range(n_layers)])
    return TranslatorLens(model, weight, bias)


def export_tuned_lens(lens: TranslatorLens, folder: Path) -> None:
    """Write a translator as the tuned-lens package reads it.

    Raises:
        UserError: the lens has no matrices.
    """
    if lens.weight is None:
        raise UserError("the logit lens has no matrices to export; export a tuned lens")
    facts, shape = _facts(lens.model), lens.model.shape
    identity = torch.eye(shape.d_model, dtype=lens.weight.dtype, device=lens.weight.device)
    params = {
        f"{layer}.weight": x.float().cpu().clone() for layer, x in enumerate(lens.weight - identity)
    }
    if lens.bias is not None:
        params |= {f"{layer}.bias": x.float().cpu().clone() for layer, x in enumerate(lens.bias)}
    config = {
        "base_model_name_or_path": facts["model"],
        "d_model": shape.d_model,
        "num_hidden_layers": shape.n_layers,
        "bias": lens.bias is not None,
        "base_model_revision": facts["revision"] or None,
        "unembed_hash": facts["unembedding"],
        "lens_type": TUNED_LENS,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / PARAMS) as temporary:
        torch.save(params, temporary)
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2))


def import_jacobian_lens(path: Path, model: LanguageModel) -> TranslatorLens:
    """Read a `.pt` file of the Jacobian-lens package: `{"J": {layer: matrix}, "d_model": ...}`.

    Its layer l is the state after block l, the one before our layer l + 1; the state before layer 0
    (the embedding), which it has no matrix for, is read by the logit lens.

    Raises:
        UserError: the file is damaged, or of a model of another size.
    """
    content = _weights_only(Path(path))
    n_layers, d_model = model.shape.n_layers, model.shape.d_model
    if not isinstance(content.get("J"), dict):
        raise UserError(f"{path} has no matrices under 'J'; it is no Jacobian lens")
    matrices = {f"J of layer {layer}": matrix for layer, matrix in content["J"].items()}
    wanted = {f"J of layer {layer}": (d_model, d_model) for layer in range(n_layers - 1)}
    _check_shapes(Path(path), matrices, wanted)
    identity = torch.eye(d_model, dtype=model.stream_dtype, device=model.device)
    after = [_as_states(matrices[name], model) for name in wanted]
    return TranslatorLens(model, torch.stack([identity, *after]), None)


def export_jacobian_lens(lens: TranslatorLens, path: Path, n_prompts: int) -> None:
    """Write a Jacobian lens as its package reads it, in half precision; layer 0's matrix is lost.

    Raises:
        UserError: the lens has no matrices, or a bias.
    """
    if lens.weight is None or lens.bias is not None:
        raise UserError("only a lens of matrices without biases is a Jacobian lens")
    layers = range(lens.model.shape.n_layers - 1)
    content = {
        "J": {layer: lens.weight[layer + 1].half().cpu().clone() for layer in layers},
        "n_prompts": n_prompts,
        "source_layers": list(layers),
        "d_model": lens.model.shape.d_model,
    }
    with replacing(Path(path)) as temporary:
        torch.save(content, temporary)


def unembedding_digest(model: LanguageModel) -> str:
    """The SHA-256 of the unembedding as float32, vocabulary first, as tuned-lens takes it."""
    matrix = model.weights.W_U.T.float().cpu().contiguous().numpy()
    return hashlib.sha256(matrix.tobytes()).hexdigest()


def _facts(model: Any) -> dict[str, str]:  # noqa: ANN401 - a lens may read an unnamed transformer
    if not isinstance(model, LanguageModel):
        raise UserError("a lens is saved with its model's name; load the model by load_model")
    return {
        "model": model.source,
        "revision": model.revision or "",
        "unembedding": unembedding_digest(model),
    }


def _check_model(path: Path, model: LanguageModel, digest: str, name: str) -> None:
    if digest != unembedding_digest(model):
        raise UserError(
            f"{path} is a lens of {name.strip()}, whose unembedding is not that of {model.name}; "
            "load the model that it was made for"
        )


def _check_shapes(path: Path, found: dict[str, Any], wanted: dict[str, tuple[int, ...]]) -> None:
    for name, shape in wanted.items():
        value = found.get(name)
        if not isinstance(value, Tensor) or tuple(value.shape) != shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else "nothing"
            raise UserError(f"{path} should have {name} of shape {shape}, and has {got}")
    if len(found) != len(wanted):
        extra = sorted(set(found) - set(wanted))
        raise UserError(f"{path} has {extra[0]}, which this model has no layer for")


def _as_states(values: Tensor, model: LanguageModel) -> Tensor:
    return values.to(model.device, model.stream_dtype)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return _checked_mapping(path, content)


def _weights_only(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no file of torch, the reader may raise anything
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read as tensors alone: {reason}") from error
    return _checked_mapping(path, content)


def _checked_mapping(path: Path, content: Any) -> dict[str, Any]:  # noqa: ANN401 - any file's content
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, and no values by name")
    return content
