"""Models are made once per session, nothing touches a network."""

import os
import tempfile

import hypothesis
import jaxtyping
import matplotlib
import pytest
import torch
from support.families import FAMILIES, QUICK_FAMILIES, STRUCTURES
from support.quick import quick_or_slow
from transformers import GPT2LMHeadModel

from benchmark.models.family import family_names
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.places import fetched_directory, models_folder
from benchmark.models.random_models import random_config, save_random_model

# What is kept of former commands changes no test either; fetched models are still found, and the
# list of fonts, which takes seconds to make.
os.environ.setdefault("ABLATION_BENCH_MODELS", str(models_folder()))
os.environ.setdefault("MPLCONFIGDIR", matplotlib.get_cachedir())
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ablation-bench-cache-")
# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# A child that is forked after work on several threads may wait for them for ever.
torch.set_num_threads(1)
torch.set_deterministic_debug_mode("error")
PRETRAINED = "smollm2-135m-q4"


def pytest_collection_modifyitems(items):
    """Without the pretrained model, the tests that need it are skipped and say how to get it."""
    if fetched_directory(PRETRAINED).is_dir():
        return
    reason = f"{PRETRAINED} is not there: .venv/bin/python scripts/fetch_model.py {PRETRAINED}"
    for item in items:
        if item.get_closest_marker("pretrained"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def shapes_are_checked(request):
    """In tests that are not slow, which cover every package; they take a third of a test's time."""
    jaxtyping.config.update("jaxtyping_disable", bool(request.node.get_closest_marker("slow")))


@pytest.fixture(scope="session")
def model_directories(tmp_path_factory):
    """A saved random model of every family."""
    return {
        family: save_random_model(tmp_path_factory.mktemp(family), random_config(family))
        for family in family_names()
    }


@pytest.fixture(scope="session")
def models(model_directories) -> dict[str, LanguageModel]:
    """The same models in float64."""
    return {name: load_model(path, dtype="float64") for name, path in model_directories.items()}


@pytest.fixture(params=quick_or_slow(FAMILIES, QUICK_FAMILIES))
def model(request, models) -> LanguageModel:
    """Each family in turn, in float64: for tests of the engine."""
    return models[request.param]


@pytest.fixture(params=quick_or_slow(STRUCTURES, QUICK_FAMILIES))
def method_model(request, models) -> LanguageModel:
    """A family of each structure, in float64: for what is built on the engine.

    It reads a model only through the engine, which is tested on every family; so only what
    changes its sums and derivatives (see `STRUCTURES`) can make a difference.
    """
    return models[request.param]


@pytest.fixture
def gpt2(models) -> LanguageModel:
    """The random GPT-2 in float64."""
    return models["gpt2"]


@pytest.fixture(scope="session")
def pretrained() -> LanguageModel:
    """SmolLM2 with 135 million parameters, in float32."""
    return load_model(PRETRAINED)


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> LanguageModel:
    """A tiny GPT-2 in which head 1 of either layer and the first MLP write nothing."""
    config = random_config("gpt2", n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=20)
    path = save_random_model(tmp_path_factory.mktemp("planted"), config)
    whole = GPT2LMHeadModel.from_pretrained(path)
    with torch.no_grad():
        for block in whole.transformer.h:
            block.attn.c_proj.weight[8:] = 0
        whole.transformer.h[0].mlp.c_proj.weight.zero_()
    whole.save_pretrained(path)
    return load_model(path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> LanguageModel:
    """A random GPT-2 of two layers of two heads, whose masks train in no time."""
    config = random_config("gpt2", n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=20)
    return load_model(save_random_model(tmp_path_factory.mktemp("tiny"), config))
