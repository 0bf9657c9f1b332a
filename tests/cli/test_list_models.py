"""The tables of families and models, from files alone."""

from io import StringIO

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from benchmark.cli.lists.models import _edges, families_and_models
from benchmark.config import configured_names, option_text
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.shape import number_of_edges
from benchmark.models.family import family_names, shape_of
from benchmark.models.random_models import random_config, save_random_model
from benchmark.zoo.cards import read_card, zoo_directory, zoo_names


def printed() -> str:
    out = StringIO()
    Console(file=out, width=200).print(families_and_models())
    return out.getvalue()


def test_every_family_and_model_is_listed_with_its_edges():
    text = printed()
    rows = [line for line in text.splitlines() if line.startswith("│")]
    lines = {row.split("│")[1].strip(): row for row in rows}
    assert {*family_names(), *configured_names("model")} <= lines.keys()
    for name, edges in (("gpt2", "32,491"), ("pythia-160m", "32,347"), ("toy_llama", "479")):
        assert f" {edges} " in lines[name]
    assert "Refused by name: experts, attention sinks" in text


def test_every_named_model_has_known_edges():
    for name in configured_names("model"):
        text = option_text("model", name)
        shipped = zoo_directory(OmegaConf.create(text).name)
        assert shipped is not None or "# Shape: " in text.splitlines()[1], name


@pytest.mark.parametrize("name", zoo_names())
def test_edges_of_a_configuration_are_those_of_the_card(name):
    path = zoo_directory(name)
    assert path is not None
    assert _edges("", path / "config.json") == read_card(path)["edges"]


@pytest.mark.parametrize("family", family_names())
def test_edges_of_a_directory_are_those_of_its_graph(family, tmp_path):
    config = random_config(family, n_layers=3, n_heads=4)
    path = save_random_model(tmp_path, config) / "config.json"
    assert _edges("", path) == ComputationalGraph.of(shape_of(config)).n_edges


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 1), (2, 4), (5, 3)])
def test_the_number_of_edges_is_counted(n_layers, n_heads, parallel):
    graph = ComputationalGraph(n_layers, n_heads, parallel)
    assert number_of_edges(n_layers, n_heads, parallel) == int(graph.exists.sum())


def test_the_published_self_ablating_models_have_as_many_edges_as_published():
    assert number_of_edges(n_layers=8, n_heads=16, parallel=False) == 23_981
