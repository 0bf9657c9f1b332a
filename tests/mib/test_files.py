"""Circuit files of MIB: exact round trips, the authors' layout, and everything that is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cells import cell
from support.problems import problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.found import load_circuits, load_scores
from benchmark.mib.files import MibCircuit, read_mib, write_mib
from benchmark.records.record import CIRCUITS_FILE, SCORES, TABLE, Status
from benchmark.run.runner import run_cell
from benchmark.seeds import generator

graphs = st.builds(ComputationalGraph, st.integers(1, 3), st.integers(1, 3), st.booleans())
seeds = st.integers(0, 2**30)
FORMS = pytest.mark.parametrize("form", ["json", "pt"])
GRAPH = ComputationalGraph(1, 2)
CASES = Path(__file__).parent.parent / "cases/mib"
D_MODEL = 8


def random_scores(graph, seed=0, dtype=torch.float64):
    value = torch.randn(graph.exists.shape, generator=generator(seed, "scores"), dtype=dtype)
    return EdgeScores(graph, value * graph.exists, signed=True)


def random_mask(graph, seed=0, density=0.5):
    draw = torch.rand(graph.exists.shape, generator=generator(seed, "mask"))
    return EdgeMask(graph, (draw < density).float() * graph.exists)


@FORMS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(graphs, seeds, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_importances_come_back_exactly(tmp_path, form, graph, seed, dtype):
    path = tmp_path / f"circuit.{form}"
    scores = random_scores(graph, seed, dtype)
    write_mib(path, MibCircuit(scores), D_MODEL)
    found = read_mib(path, graph)
    assert found.mask is None and found.scores.signed
    assert torch.equal(found.scores.value.double(), scores.value.double())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@FORMS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(graphs, seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_circuits_come_back_exactly(tmp_path, form, graph, seed, density):
    path = tmp_path / f"circuit.{form}"
    mask = random_mask(graph, seed, density)
    write_mib(path, MibCircuit(mask=mask), D_MODEL)
    found = read_mib(path, graph)
    assert found.scores is None and torch.equal(found.mask.keep, mask.keep)
    both = MibCircuit(random_scores(graph, seed), mask)
    write_mib(path, both, D_MODEL)
    found = read_mib(path, graph)
    assert torch.equal(found.scores.value, both.scores.value)
    assert (found.mask is None) == (mask.size == 0)


def by_hand(**changes):
    """A file of the authors' layout for one layer of two heads, spelt out."""
    edges = {
        "input->a0.h0<q>": 0.5, "input->a0.h0<k>": -1.0, "input->a0.h0<v>": 0.25,
        "input->a0.h1<q>": 0.0, "input->a0.h1<k>": 2.0, "input->a0.h1<v>": 0.0,
        "input->m0": 3.0, "a0.h0->m0": 0.0, "a0.h1->m0": -4.0,
        "input->logits": 0.0, "a0.h0->logits": 1.0, "a0.h1->logits": 0.0, "m0->logits": 7.0,
    }  # fmt: skip
    content = {
        "cfg": {"n_layers": 1, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 8},
        "nodes": {
            **{name: {"in_graph": False} for name in ("input", "a0.h0", "a0.h1", "m0")},
            "logits": {"in_graph": True},
        },
        "edges": {name: {"score": score, "in_graph": False} for name, score in edges.items()},
    }  # fmt: skip
    return content | changes


def by_hand_pt(**changes):
    """The same as matrices, with minus infinity off the graph."""
    off = -torch.inf
    scores = torch.tensor([
        [0.5, 0.0, -1.0, 2.0, 0.25, 0.0, 3.0, 0.0],
        [off, off, off, off, off, off, 0.0, 1.0],
        [off, off, off, off, off, off, -4.0, 0.0],
        [off, off, off, off, off, off, off, 7.0],
    ])  # fmt: skip
    content = {
        "cfg": {"n_layers": 1, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 8},
        "src_nodes": ["input", "a0.h0", "a0.h1", "m0"],
        "dst_nodes": [
            "a0.h0<q>", "a0.h1<q>", "a0.h0<k>", "a0.h1<k>", "a0.h0<v>", "a0.h1<v>", "m0", "logits",
        ],
        "edges_scores": scores,
        "edges_in_graph": torch.zeros(4, 8, dtype=torch.bool),
        "nodes_in_graph": torch.zeros(4, dtype=torch.bool),
    }  # fmt: skip
    return content | changes


def saved(folder: Path, content) -> Path:
    """A content in the form that it has the keys of."""
    if "edges" in content:
        (folder / "hand.json").write_text(json.dumps(content))
        return folder / "hand.json"
    torch.save(content, folder / "hand.pt")
    return folder / "hand.pt"


@pytest.mark.parametrize("content", [by_hand(), by_hand_pt()], ids=["json", "pt"])
def test_files_of_the_authors_layout_are_read(tmp_path, content):
    found = read_mib(saved(tmp_path, content), GRAPH)
    assert found.mask is None
    assert found.scores.top(4).edges() == [
        "input->a0.h1<k>", "input->m0", "a0.h0->logits", "m0->logits",
    ]  # fmt: skip
    assert found.scores.absolute().top(2).edges() == ["a0.h1->m0", "m0->logits"]


def test_a_written_file_has_the_authors_layout(tmp_path):
    """Only nodes that are fed and read count, as after their own pruning."""
    kept = ["input->a0.h0<k>", "a0.h0->m0", "a0.h1->logits"]
    mask = EdgeMask.of_edges(GRAPH, kept)
    for form in ("json", "pt"):
        write_mib(tmp_path / f"a.{form}", MibCircuit(mask=mask), D_MODEL)
    named = json.loads((tmp_path / "a.json").read_text())
    assert named["cfg"] == by_hand()["cfg"]
    assert named["nodes"].keys() == by_hand()["nodes"].keys()
    assert named["edges"].keys() == by_hand()["edges"].keys()
    assert all(facts == {"in_graph": name in kept} for name, facts in named["edges"].items())
    inside = {name for name, facts in named["nodes"].items() if facts["in_graph"]}
    assert inside == {"input", "a0.h0", "logits"}
    matrices = torch.load(tmp_path / "a.pt", weights_only=True)
    assert matrices.keys() == by_hand_pt().keys() - {"edges_scores"}
    for key in ("cfg", "src_nodes", "dst_nodes"):
        assert matrices[key] == by_hand_pt()[key]
    assert matrices["edges_in_graph"].dtype == torch.bool
    assert matrices["nodes_in_graph"].tolist() == [True, True, False, False]


@pytest.mark.parametrize("form", [by_hand, by_hand_pt])
def test_zeros_for_scores_beside_a_circuit_rank_nothing(tmp_path, form):
    content = form()
    if "edges" in content:
        for name, facts in content["edges"].items():
            facts |= {"score": 0.0, "in_graph": name == "m0->logits"}
    else:
        content["edges_scores"] = torch.zeros(4, 8)
        content["edges_in_graph"][3, 7] = True
    found = read_mib(saved(tmp_path, content), GRAPH)
    assert found.scores is None and found.mask.edges() == ["m0->logits"]


def test_edges_that_a_binary_file_does_not_list_are_out(tmp_path):
    content = by_hand(edges={"m0->logits": {"in_graph": True}, "input->m0": {"in_graph": False}})
    assert read_mib(saved(tmp_path, content), GRAPH).mask.edges() == ["m0->logits"]


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_code_in_a_file_is_never_run(tmp_path):
    path, target = tmp_path / "bad.pt", tmp_path / "it ran"
    torch.save(by_hand_pt(cfg=Malicious(target)), path)
    with pytest.raises(UserError, match="more than tensors and plain values") as refusal:
        read_mib(path, GRAPH)
    assert len(str(refusal.value).splitlines()) == 1
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()


def edges(name="m0->logits", **facts):
    content = by_hand()["edges"]
    return {**content, name: {**content.get(name, {}), **facts}}


HEADLESS = {**by_hand()["cfg"], "n_heads": 3}
NEURAL = {"input": {"in_graph": True, "neurons": [True]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (by_hand(cfg=HEADLESS), "cfg has n_heads=3.*, and the model has 2"),
        (by_hand(cfg={}), "cfg has n_layers=None"),
        (by_hand(cfg=[]), "cfg has n_layers=None"),
        (by_hand(nodes=[]), "its nodes are not facts by name"),
        (by_hand(nodes=NEURAL), "a circuit of neurons"),
        (by_hand(nodes={"m0": {"in_graph": True, "score": 1.0}}, edges={}), "a circuit of nodes"),
        (by_hand(edges=edges("m0->a0.h0<q>", score=1.0, in_graph=True)), "is computed before m0"),
        (by_hand(edges=edges("a0.h7->m0", score=1.0)), "'a0.h7' is not a source"),
        (by_hand(edges=edges(score=float("nan"))), "NaN or infinite"),
        (by_hand(edges=edges(score=10**400)), "NaN or infinite"),
        (by_hand(edges=edges(score="1")), "m0->logits has score='1', which is no number"),
        (by_hand(edges=edges(in_graph=None)), "m0->logits has in_graph=None"),
        (by_hand(edges=edges(in_graph=0.5)), "in_graph is neither true nor false"),
        (by_hand(edges={"m0->logits": {"score": 1.0, "in_graph": True}}), "scores 1 of 13 edges"),
        (by_hand_pt(cfg=HEADLESS), "cfg has n_heads=3, and the model has 2"),
        (by_hand_pt(src_nodes=["input"]), "src_nodes are not those of this model"),
        (by_hand_pt(dst_nodes=7), "dst_nodes are not those of this model"),
        (by_hand_pt(edges_scores=torch.zeros(4, 7)), r"edges_scores is \(4, 7\), and not a tensor"),
        (by_hand_pt(edges_scores=[1]), "edges_scores is list"),
        (by_hand_pt(edges_scores=torch.full((4, 8), torch.nan)), "NaN or infinite"),
        (by_hand_pt(edges_in_graph=torch.full((4, 8), 0.5)), "neither true nor false"),
        (by_hand_pt(edges_in_graph=torch.ones(4, 8)), "not 0 where the graph has no edge"),
        (by_hand_pt(neurons_in_graph=torch.ones(4, 8)), "a circuit of neurons"),
        (
            by_hand_pt(edges_scores=torch.zeros(4, 8), nodes_scores=torch.ones(4)),
            "a circuit of nodes",
        ),
        ({k: v for k, v in by_hand_pt().items() if k != "nodes_in_graph"}, "no 'nodes_in_graph'"),
    ],
)  # fmt: skip
def test_what_is_no_circuit_of_the_model_is_refused_in_a_line(tmp_path, content, message):
    path = saved(tmp_path, content)
    with pytest.raises(UserError, match=message) as refusal:
        read_mib(path, GRAPH)
    text = str(refusal.value)
    assert text.startswith(f"{path} cannot be read: ") and len(text.splitlines()) == 1
    assert "give a .json or .pt file" in text


@FORMS
def test_damaged_files_are_refused_wherever_they_end(tmp_path, form):
    path = tmp_path / f"circuit.{form}"
    with pytest.raises(UserError, match="missing, damaged"):
        read_mib(path, GRAPH)
    write_mib(path, MibCircuit(random_scores(GRAPH)), D_MODEL)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="missing, damaged"):
            read_mib(path, GRAPH)
    for content in (b"[" * 100_000, b"[1]", b"\xff\xfe", b"\x80\x02."):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_mib(path, GRAPH)


def test_what_cannot_be_written_is_refused(tmp_path):
    half = EdgeMask(GRAPH, GRAPH.exists / 2)
    for circuit, name, message in (
        (MibCircuit(mask=half), "a.pt", "keeps some in part"),
        (MibCircuit(), "a.pt", "needs scores or a mask"),
        (MibCircuit(mask=EdgeMask.full(GRAPH)), "a.txt", "does not end with .json or .pt"),
    ):
        with pytest.raises(UserError, match=message):
            write_mib(tmp_path / name, circuit, D_MODEL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["json", "pt", "safetensors"])
@pytest.mark.parametrize("absolute", [True, False])
def test_an_importance_file_gives_the_circuits_of_its_scores(gpt2, tmp_path, ending, absolute):
    scores, path = random_scores(gpt2.graph), tmp_path / f"scores.{ending}"
    scores.save(path) if ending == "safetensors" else write_mib(path, MibCircuit(scores), D_MODEL)
    imported = configured("method", "imported", path=str(path), absolute=absolute)
    found = imported.discover(problem(gpt2), [3, 20])
    ranked = scores.absolute() if absolute else scores
    for circuit, size in zip(found, (3, 20), strict=True):
        assert circuit.requested_size == size
        assert torch.equal(circuit.mask.keep, ranked.top(size).keep)


def test_binary_files_are_shown_as_they_are(gpt2, tmp_path):
    masks = [random_mask(gpt2.graph, seed) for seed in range(3)]
    write_mib(tmp_path / "a.json", MibCircuit(mask=masks[0]), D_MODEL)
    write_mib(tmp_path / "b.pt", MibCircuit(random_scores(gpt2.graph), masks[1]), D_MODEL)
    masks[2].save(tmp_path / "c.safetensors")
    (tmp_path / "notes.txt").write_text("not a circuit")
    found = configured("method", "imported", path=str(tmp_path)).discover(problem(gpt2), [5])
    assert [(c.setting, c.requested_size) for c in found] == [
        ("file=a.json", None), ("file=b.pt", None), ("file=c.safetensors", None),
    ]  # fmt: skip
    assert all(torch.equal(c.mask.keep, m.keep) for c, m in zip(found, masks, strict=True))
    write_mib(tmp_path / "d.pt", MibCircuit(random_scores(gpt2.graph)), D_MODEL)
    with pytest.raises(UserError, match=r"d.pt is one of 4 files of its folder"):
        configured("method", "imported", path=str(tmp_path)).discover(problem(gpt2), [5])


def test_files_that_cannot_be_imported_are_refused(gpt2, tmp_path):
    assert "type method.path=FILE" in configured("method", "imported").unsupported(problem(gpt2))
    for path in (tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(UserError, match=r"has no circuit; type method.path=FILE"):
            configured("method", "imported", path=str(path)).data_digest()
    foreign = tmp_path / "foreign.safetensors"
    EdgeMask.full(GRAPH).save(foreign)
    with pytest.raises(UserError, match="with 1 layers of 2 heads; this one has"):
        configured("method", "imported", path=str(foreign)).discover(problem(gpt2), [5])
    foreign.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged, or was not written by this package"):
        configured("method", "imported", path=str(foreign)).discover(problem(gpt2), [5])


def imported(results_dir, path):
    """A quick cell that imports."""
    quick = cell(results_dir, method="imported")
    return replace(quick, method=quick.method | {"path": path and str(path)})


def test_the_content_of_a_file_decides_the_key(tmp_path):
    path, keys = tmp_path / "scores.json", []
    for seed in (0, 1, 0):
        write_mib(path, MibCircuit(random_scores(GRAPH, seed)), D_MODEL)
        keys.append(imported(tmp_path, path).key)
    assert keys[0] == keys[2] != keys[1]
    path.unlink()
    with pytest.raises(UserError, match=r"has no circuit; type method\.path=FILE"):
        imported(tmp_path, path).checked()


def test_a_record_is_imported_as_it_was_found_and_ranked_anew_by_its_scores(tmp_path):
    """Circuits keep their settings, sizes and numbers; scores give circuits of any size."""
    found = cell(tmp_path)
    own = run_cell(found)
    curve, place = pd.read_parquet(found.folder.path / TABLE), found.folder.path
    for path in (place, place / CIRCUITS_FILE):
        again = imported(tmp_path, path)
        assert run_cell(again).record.status is Status.done
        pd.testing.assert_frame_equal(pd.read_parquet(again.folder.path / TABLE), curve)
    scores = imported(tmp_path, place / SCORES)
    assert run_cell(scores).record.areas == own.record.areas
    assert load_scores(scores.folder.path / SCORES)[""].value.equal(
        load_scores(place / SCORES)[""].value
    )
    other = replace(
        scores, sizes=[7], method=scores.method | {"path": str(place), "take": "scores"}
    )
    assert run_cell(other).record.cost["method"]["forward"] == 0
    assert list(pd.read_parquet(other.folder.path / TABLE)["size"].unique()) == [7]


def test_a_file_with_scores_and_a_circuit_is_its_circuit(tmp_path):
    """Both cases have one circuit of 27 edges; only by name are edges ranked anew."""
    tables = []
    for name in ("both", "circuit_only"):
        one = imported(tmp_path, CASES / f"{name}.json")
        record = run_cell(one).record
        tables.append(pd.read_parquet(one.folder.path / TABLE))
        told = [line for line in record.warnings if "method.take=scores" in line]
        assert len(told) == (name == "both")
    assert set(tables[0]["size"]) == {27}
    assert tables[0]["loss_gap"].equals(tables[1]["loss_gap"])
    ranked = imported(tmp_path, CASES / "both.json")
    ranked = replace(ranked, method=ranked.method | {"take": "scores"})
    run_cell(ranked)
    assert set(pd.read_parquet(ranked.folder.path / TABLE)["size"]) == {11, 55}
    without = imported(tmp_path, CASES / "circuit_only.json")
    without = replace(without, method=without.method | {"take": "scores"})
    assert "has circuits and no scores" in run_cell(without).record.reason


def test_an_earlier_form_of_eap_igs_json_is_read(tmp_path):
    """Nodes are names with true or false, and scores are null where nothing was scored."""
    path, mask = tmp_path / "old.json", random_mask(GRAPH)
    write_mib(path, MibCircuit(mask=mask), D_MODEL)
    content = json.loads(path.read_text())
    content["nodes"] = {name: facts["in_graph"] for name, facts in content["nodes"].items()}
    content["edges"] = {k: facts | {"score": None} for k, facts in content["edges"].items()}
    path.write_text(json.dumps(content))
    found = read_mib(path, GRAPH)
    assert found.scores is None and found.mask.keep.equal(mask.keep)
    content["edges"]["input->m0"]["score"] = 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="which is no number"):
        read_mib(path, GRAPH)


def test_imported_circuits_are_evaluated_as_all_others(tmp_path):
    """The circuits of a method, imported, have the method's own curve."""
    found = cell(tmp_path)
    own = run_cell(found).record
    model = found.model_choice.load()
    stored = load_circuits(found.folder.path / CIRCUITS_FILE)
    for name, one in zip("ab", stored, strict=True):
        circuit = MibCircuit(mask=one.mask)
        write_mib(tmp_path / "circuits" / f"{name}.pt", circuit, model.shape.d_model)
    record = run_cell(imported(tmp_path, tmp_path / "circuits")).record
    assert record.status is Status.done, record.reason
    assert record.areas == own.areas
    skipped = run_cell(imported(tmp_path, None)).record
    assert skipped.status is Status.skipped and "type method.path=FILE" in skipped.reason
