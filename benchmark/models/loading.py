"""Loading a language model: by Hugging Face or TransformerLens name, or from a directory.

Weights come from the Hugging Face model as they are: LayerNorm is not folded, nothing is centred,
and parameters are frozen. Every load compares our logits with Hugging Face's on a few random
prompts. The TransformerLens bridge is built only when asked for (importing it takes seconds), and
this is the only file that names it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from benchmark.errors import UserError, near
from benchmark.graph.graph import ComputationalGraph
from benchmark.models.check import check_finite, checked_difference
from benchmark.models.family import family_of, shape_of
from benchmark.models.places import local_directory
from benchmark.models.quiet import quiet_transformers
from benchmark.models.tokenizer import load_tokenizer
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.vector_math import sound_vector_math
from benchmark.zoo.cards import zoo_names

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class LanguageModel(Transformer):
    """A frozen causal language model, with its names and what was done to it.

    Attributes:
        name: the name or directory that was asked for.
        source: the Hugging Face repository or directory that it was read from.
        revision: the commit of the repository, or None for a directory.
        hugging_face: the Hugging Face model itself, on the same device.
        largest_logit_difference: to Hugging Face's own logits at load, or None if not checked.
    """

    name: str
    source: str
    revision: str | None
    hugging_face: Any
    largest_logit_difference: float | None = None

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer, loaded on first use; prompts given as token ids need none.

        Raises:
            UserError: there is none, it is damaged, or it does not belong to this model.
        """
        return load_tokenizer(self.source, self.revision, self.shape.d_vocab)

    @cached_property
    def bridge(self) -> Any:  # noqa: ANN401 - TransformerLens's class, imported only on use
        """A TransformerLens bridge on a second copy of the weights, for hooks and caches.

        Per-head results, split q/k/v inputs and MLP inputs are switched on. Building it takes
        seconds and the memory of a second model. It needs no tokenizer: give it token ids.
        """
        return _bridge(self)

    def facts(self) -> dict[str, Any]:
        """What to record beside every number: names, versions, numerics, processing."""
        return {
            "name": self.name,
            "source": self.source,
            "revision": self.revision,
            "family": self.hugging_face.config.model_type,
            "d_model": self.shape.d_model,
            "dtype": str(self.dtype).removeprefix("torch."),
            "stream_dtype": str(self.stream_dtype).removeprefix("torch."),
            "device": str(self.device),
            "processing": "none: LayerNorm not folded, weights not centred, parameters frozen",
            "largest_logit_difference": self.largest_logit_difference,
        }


def load_model(
    name: str | Path,
    *,
    dtype: str = "float32",
    device: str = "auto",
    revision: str | None = None,
    check: bool = True,
) -> LanguageModel:
    """Load a causal language model, frozen and in evaluation mode.

    Args:
        name: a model of the zoo ("toy_gpt2"), one that was fetched ("smollm2-135m-q4"), a
            directory, a Hugging Face repository ("EleutherAI/pythia-70m"), or a name that
            TransformerLens knows ("gpt2-small", "pythia-70m"). Files that are already local are
            used without a network.
        dtype: precision of the weights: float64, float32, bfloat16 or float16. The residual
            stream is at least float32.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        revision: branch, tag or commit of a repository.
        check: compare our logits with Hugging Face's on random prompts, and refuse to go on if
            they differ by more than rounding (half precision is judged by its own).

    Raises:
        UserError: the name, the files, the family, the dtype or the device cannot be used, or
            weights are NaN.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}{near(dtype, DTYPES)}")
    sound_vector_math()
    place, source = _device(device), _source(str(name))
    config = _config(source, revision)
    revision = _commit(source, revision)
    family, shape = family_of(config), shape_of(config)
    hugging_face = _hugging_face(source, revision, config, DTYPES[dtype])
    check_finite(hugging_face, source)
    hugging_face = hugging_face.to(place)
    model = LanguageModel(
        weights=family.read(hugging_face),
        shape=shape,
        dtype=DTYPES[dtype],
        device=place,
        name=str(name),
        source=source,
        revision=revision,
        hugging_face=hugging_face,
    )
    if not check:
        return model
    difference = checked_difference(model, hugging_face, family, model.name)
    return replace(model, largest_logit_difference=difference)


def graph_of_config(config: Any) -> ComputationalGraph:  # noqa: ANN401 - a class per family
    """The canonical graph of a Hugging Face configuration, without any weights.

    Raises:
        UserError: the family is not supported.
    """
    return ComputationalGraph.of(shape_of(config))


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # A tensor's own device has its index ("cuda:0"), without which it equals no tensor's.
        return torch.empty(0, device=torch.device(name)).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device {name!r} cannot be used ({reason}); give 'auto', 'cpu' or 'cuda'"
        ) from error


def _source(name: str) -> str:
    """The directory or Hugging Face repository behind a name."""
    directory = local_directory(name)
    if directory is not None:
        return str(directory.resolve())
    if "/" in name or name.startswith("."):
        return name
    from transformer_lens.supported_models import get_official_model_name

    try:
        return get_official_model_name(name)
    except ValueError:
        return name


def _config(source: str, revision: str | None) -> Any:  # noqa: ANN401 - a class per family
    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        what = "config.json cannot be used" if Path(source).is_dir() else "no such model is at hand"
        raise UserError(
            f"model {source!r} cannot be loaded: {what}. Give a directory that "
            "save_pretrained wrote, a Hugging Face repository such as EleutherAI/pythia-70m, or a "
            f"TransformerLens name such as gpt2-small{near(source, zoo_names())}. Hugging Face "
            f"says: {reason}"
        ) from error


def _commit(source: str, revision: str | None) -> str | None:
    """The commit behind a repository's branch or tag, so that all files come from the same one."""
    if Path(source).is_dir():
        return None
    # The hub's cache keeps each commit's files in a folder of its name.
    path = cached_file(source, "config.json", revision=revision)
    return None if path is None else Path(path).parent.name


def _hugging_face(source: str, revision: str | None, config: Any, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """The frozen Hugging Face model; its own loader only warns of missing weights, we refuse."""
    if (Path(source) / "adapter_config.json").exists():
        raise UserError(f"{source!r} has an adapter (adapter_config.json); merge it, or move it")
    settings = dict(revision=revision, config=config, dtype=dtype, trust_remote_code=False)
    try:
        with quiet_transformers():
            model, report = cast(Any, AutoModelForCausalLM).from_pretrained(
                source, **settings, output_loading_info=True
            )
    except Exception as error:  # safetensors, pickle, zip and OS errors share no base class
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the weights of {source!r} cannot be read: {reason}") from error
    lacking = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if lacking:
        raise UserError(
            f"the checkpoint {source!r} lacks {len(lacking)} of the tensors that its config.json "
            f"asks for, first {lacking[0]}; download it again or mend its config.json"
        )
    return model.eval().requires_grad_(False)


def _bridge(model: LanguageModel) -> Any:  # noqa: ANN401
    from transformer_lens.model_bridge import TransformerBridge

    # Booting changes the model it is given, so it gets a copy of its own.
    config = _config(model.source, model.revision)
    copy = _hugging_face(model.source, model.revision, config, model.dtype).to(model.device)
    try:
        tokenizer = model.tokenizer
    except UserError:
        tokenizer = None
    bridge = TransformerBridge.boot_transformers(
        model.source,
        hf_model=copy,
        tokenizer=tokenizer,
        device=model.device,
        dtype=model.dtype,
        revision=model.revision,
    )
    bridge.set_use_attn_result(True)
    bridge.set_use_split_qkv_input(True)
    bridge.set_use_hook_mlp_in(True)
    return bridge
