"""Circuit files of MIB spelt out, and scores and circuits to write."""

import json
from pathlib import Path

import torch

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.seeds import generator

GRAPH = ComputationalGraph(1, 2)
D_MODEL = 8


def random_scores(graph, seed=0, dtype=torch.float64):
    value = torch.randn(graph.exists.shape, generator=generator(seed, "scores"), dtype=dtype)
    return EdgeScores(graph, value * graph.exists, signed=True)


def random_mask(graph, seed=0, density=0.5):
    draw = torch.rand(graph.exists.shape, generator=generator(seed, "mask"))
    return EdgeMask(graph, (draw < density).float() * graph.exists)


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
