"""Exported circuits are the record's, as the tools that read them see them."""

import json

import networkx as nx
import numpy as np
import pytest
from support.command import run_in_fork
from support.made.pages import saved

from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.export.circuit import Edge, NamedCircuit, circuit_of
from benchmark.export.networks import dot, graphml
from benchmark.export.neuronpedia import attribution_graph
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import RECORD, Record

GRAPH = ComputationalGraph(2, 4)
STRANGE = 'a "b" \\ <c> & d'
FACTS = {
    "title": STRANGE, "model": "toy", "key": "k", "created": "now", "version": "1", "slug": "s",
}  # fmt: skip
# Of the schema of attribution graphs, version 1.0.0: what a node and a link must have.
NODE = {
    "node_id": str, "feature": (int, type(None)), "layer": (str, int), "ctx_idx": int,
    "feature_type": str, "jsNodeId": str, "clerp": str,
}  # fmt: skip
LINK = {"source": str, "target": str, "weight": (int, float)}


@pytest.fixture
def kept(tmp_path):
    """A circuit of 20 edges of a record, and the scores that it was ranked by."""
    scores = saved(tmp_path, "one", [5, 20, 60], graph=GRAPH)
    record = Record.read(tmp_path / "one" / RECORD)
    return circuit_of(record, tmp_path / "one", size=59), scores


def names_of(circuit):
    return {(e.source, f"{e.node}<{e.reader}>" if e.reader else e.node) for e in circuit.edges}


def test_the_largest_circuit_within_the_size_is_taken_with_its_scores(kept):
    circuit, scores = kept
    assert len(circuit.edges) == 20 and circuit.setting == "size=20"
    largest = np.sort(np.abs(scores).ravel())[::-1][:20]
    assert sorted((abs(edge.score) for edge in circuit.edges), reverse=True) == pytest.approx(
        largest
    )


def test_graphml_is_read_by_networkx_as_the_same_circuit(kept, tmp_path):
    circuit, _ = kept
    path = tmp_path / "a.graphml"
    path.write_text(graphml(circuit, FACTS))
    read = nx.read_graphml(path, force_multigraph=True)
    found = {(u, f"{v}<{d['reader']}>" if d["reader"] else v) for u, v, d in read.edges(data=True)}
    assert found == names_of(circuit)
    assert sorted(d["score"] for *_, d in read.edges(data=True)) == pytest.approx(
        sorted(edge.score for edge in circuit.edges)
    )
    assert read.graph["title"] == STRANGE
    assert {name: data["kind"] for name, data in read.nodes(data=True)}.items() <= {
        ("input", "input"), ("logits", "logits"),
        *((f"a{layer}.h{head}", "head") for layer in (0, 1) for head in range(4)),
        *((f"m{layer}", "MLP") for layer in (0, 1)),
    }  # fmt: skip


def test_dot_names_every_edge_once_and_quotes_strange_names(kept):
    circuit, _ = kept
    lines = dot(circuit, FACTS).splitlines()
    assert lines[0] == 'digraph "a \\"b\\" \\\\ <c> & d" {' and lines[-1] == "}"
    assert sum("->" in line for line in lines) == 20
    edge = circuit.edges[0]
    assert any(line.startswith(f'  "{edge.source}" -> "{edge.node}" [color=') for line in lines)


def test_an_attribution_graph_has_what_its_schema_asks_for_and_every_edge(kept):
    circuit, _ = kept
    roles = {"first": [*GRAPH.sources], "absent": []}
    content = json.loads(
        attribution_graph(circuit, FACTS, "When Anna", ["<s>", "When", " Anna"], roles)
    )
    assert content.keys() == {"metadata", "qParams", "nodes", "links"}
    assert content["metadata"].keys() >= {"slug", "scan", "prompt_tokens", "prompt"}
    assert content["metadata"]["prompt"] == "When Anna"
    for rows, form in ((content["nodes"], NODE), (content["links"], LINK)):
        for row in rows:
            assert all(isinstance(row[key], kind) for key, kind in form.items())
    nodes = {node["node_id"]: node["clerp"] for node in content["nodes"]}
    assert len(nodes) == len(content["nodes"])
    named = {(nodes[link["source"]], nodes[link["target"]]) for link in content["links"]}
    edges = {(e.source, f"{e.node} {e.reader}".strip()) for e in circuit.edges}
    readers = {(f"{e.node} {e.reader}", e.node) for e in circuit.edges if e.reader}
    assert named == edges | readers
    (group,) = content["qParams"]["supernodes"]
    assert group[0] == "first" and set(group[1:]) <= nodes.keys()


def test_the_slider_of_the_viewer_keeps_the_nodes_of_largest_weight():
    edges = (Edge("input", "m0", "", 3.0), Edge("m0", "logits", "", -5.0))
    circuit = NamedCircuit(GRAPH.outline, "", edges)
    content = json.loads(attribution_graph(circuit, FACTS, "a", ["a"], {}))
    shares = {node["clerp"]: node["influence"] for node in content["nodes"]}
    assert shares == {"m0": 8 / 16, "logits": 13 / 16, "input": 1.0}


def test_what_cannot_be_exported_is_said(tmp_path):
    saved(tmp_path, "one", [5, 20], graph=GRAPH)
    places = {"results_dir": str(tmp_path), "directory": str(tmp_path)}
    with pytest.raises(UserError, match=r"onee is not a record .* did you mean 'one'"):
        configured_alone("export", key="onee", **places).run()
    with pytest.raises(UserError, match="size=4: the smallest circuit of record one has 5 edges"):
        configured_alone("export", key="one", size=4, **places).run()
    done = run_in_fork("export", "one", "format=svg", f"results_dir={tmp_path}")
    assert done.returncode == 2 and "neuronpedia, graphml, dot" in done.stderr


@pytest.mark.slow
def test_a_record_is_exported_with_the_prompt_that_its_circuit_was_measured_on(tmp_path):
    grid = ("model=tiny_gpt2", "task=ioi", "ablation=zero", "n_train=4", "n_test=4", "sizes=[20]")
    assert run_in_fork("run", *grid, f"results_dir={tmp_path}").returncode == 0
    (key,) = (path.parent.name for path in tmp_path.glob(f"*/{RECORD}"))
    for form, ending in (("neuronpedia", "json"), ("graphml", "graphml"), ("dot", "dot")):
        done = run_in_fork("export", key, f"format={form}", f"results_dir={tmp_path}")
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / "exports").glob(f"*{key}_20.{ending}"))) == 1
    shown = json.loads(next((tmp_path / "exports").glob("*.json")).read_text())["metadata"]
    assert len(shown["prompt_tokens"]) > 5 and len(shown["prompt"].split()) > 5
