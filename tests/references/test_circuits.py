"""Reference circuits: the published counts, and which models they are offered to."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import benchmark.references
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.references.circuits import FILE, read_reference, reference_circuits

FOLDER = Path(benchmark.references.__file__).parent
GPT2_SMALL, ATTN_ONLY = ComputationalGraph(12, 12), ComputationalGraph(4, 8)


@pytest.mark.parametrize(
    ("name", "graph", "n_edges", "n_edges_acdc"),
    [
        ("ioi_gpt2", GPT2_SMALL, 963, 1041),
        ("greater_than_gpt2", GPT2_SMALL, 235, 262),
        ("docstring_attn_only_4l", ATTN_ONLY, 24, 37),
    ],
)
def test_published_circuits_have_the_published_sizes(name, graph, n_edges, n_edges_acdc):
    reference = read_reference(FOLDER / f"{name}.json", graph)
    assert reference.mask.size == n_edges
    assert reference.n_edges_acdc == n_edges_acdc == reference.facts["n_edges_acdc"]
    assert "arXiv" in reference.source
    # Nothing in them dangles.
    assert reference.mask.pruned(Pruning.dangling).size == n_edges


def test_ioi_has_the_26_heads_of_the_paper():
    mask = read_reference(FOLDER / "ioi_gpt2.json", GPT2_SMALL).mask
    used = {edge.split("->")[0] for edge in mask.edges() if edge.startswith("a")}
    assert len(used) == 26
    assert {"a9.h9", "a10.h7", "a7.h3", "a5.h5", "a0.h1", "a2.h2"} <= used
    edges = set(mask.edges())
    assert "a7.h3->a9.h9<q>" in edges
    assert "a7.h3->a9.h9<k>" not in edges
    assert "a2.h2->a5.h5<k>" in edges
    assert "a5.h5->logits" not in edges


def test_circuits_are_offered_to_their_models_only(gpt2, tmp_path):
    small = replace(gpt2, name="gpt2", shape=replace(gpt2.shape, n_layers=12, n_heads=12))
    assert set(reference_circuits("ioi", small)) == {"ioi_gpt2"}
    assert set(reference_circuits("greater_than", small)) == {"greater_than_gpt2"}
    assert reference_circuits("induction", small) == {}
    assert reference_circuits("ioi", gpt2) == {}
    own = {"task": "ioi", "source": "mine", "models": [], "edges": ["input->logits"], "n_edges": 1}
    (tmp_path / FILE).write_text(json.dumps(own))
    mine = replace(gpt2, source=str(tmp_path))
    found = reference_circuits("ioi", mine)["reference"]
    assert found.mask.edges() == EdgeMask.of_edges(gpt2.graph, ["input->logits"]).edges()
    assert reference_circuits("greater_than", mine) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "does not say its 'task'"),
        (
            '{"task": "a", "source": "b", "models": [], "n_edges": 2, "edges": ["input->logits"]}',
            "has 1 edges on this graph, but says 2",
        ),
        (
            '{"task": "a", "source": "b", "models": [], "n_edges": 1, "edges": ["m0->inputs"]}',
            "'inputs' is not a destination",
        ),
    ],
)
def test_damaged_files_are_one_error(tmp_path, content, message):
    path = tmp_path / FILE
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_reference(path, GPT2_SMALL)
