"""The two forms of MIB's circuit files: the authors' layout, and all that is refused."""

import json

import pytest
import torch
from support.made.mib import D_MODEL, GRAPH, by_hand, by_hand_pt, random_mask, saved

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.mib.files import MibCircuit, read_mib, write_mib


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
    assert all(
        facts == {"in_graph": name in kept, "score": 0.0} for name, facts in named["edges"].items()
    )
    inside = {name for name, facts in named["nodes"].items() if facts["in_graph"]}
    assert inside == {"input", "a0.h0", "logits"}
    matrices = torch.load(tmp_path / "a.pt", weights_only=True)
    assert matrices.keys() == by_hand_pt().keys() and not matrices["edges_scores"].any()
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
