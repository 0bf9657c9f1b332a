"""A circuit as an attribution graph of Neuronpedia and circuit-tracer (their schema 1.0.0).

Those graphs have nodes of features at positions of one prompt. Ours have components, so every node
stands at the prompt's last position, and a head has up to three nodes more, the readers of its
query, key and value, each linked to the head by the sum of what it reads.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.export.circuit import NamedCircuit
from benchmark.export.networks import kind_of, layer_of

TYPES = {"input": "embedding", "logits": "logit", "head": "attention head", "MLP": "mlp"}
# What a circuit without scores is weighted by.
UNSCORED = 1.0
# The share of all weights that the viewer shows at first.
THRESHOLD = 0.8
Link = dict[str, Any]


def attribution_graph(
    circuit: NamedCircuit,
    facts: Mapping[str, str],
    prompt: str,
    tokens: list[str],
    roles: Mapping[str, Iterable[str]],
) -> str:
    """The JSON of one graph.

    Args:
        circuit: the circuit; the weight of a link is its edge's score, or 1 where there is none.
        facts: slug, model, title, created and version.
        prompt: what it is shown with.
        tokens: of the prompt.
        roles: of a known circuit, the nodes of each role, which become supernodes.
    """
    at, links = len(tokens) - 1, _links(circuit)
    names = list(dict.fromkeys(name for link in links for name in (link["source"], link["target"])))
    ids = {name: f"{_layer(name, circuit)}_{_feature(name)}_{at}" for name in names}
    influence = _influence(links)
    nodes = [_node(name, ids[name], circuit, at, influence[name]) for name in names]
    groups = [[role, *(ids[n] for n in members if n in ids)] for role, members in roles.items()]
    content = {
        "metadata": {
            "slug": facts["slug"],
            "scan": facts["model"],
            "prompt_tokens": tokens,
            "prompt": prompt,
            "node_threshold": THRESHOLD,
            "info": {
                "description": facts["title"],
                "generator": {"name": "ablation-bench", "version": facts["version"]},
            },
            "generation_settings": {"setting": circuit.setting, "created": facts["created"]},
            "pruning_settings": {},
        },
        "qParams": {
            "pinnedIds": [],
            "supernodes": [group for group in groups if len(group) > 1],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": [
            {**link, "source": ids[link["source"]], "target": ids[link["target"]]} for link in links
        ],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _links(circuit: NamedCircuit) -> list[Link]:
    """The edges, and one from each reader of a head to the head."""
    links, read = [], defaultdict(float)
    for edge in circuit.edges:
        weight = UNSCORED if edge.score is None else edge.score
        target = f"{edge.node} {edge.reader}".strip()
        links.append({"source": edge.source, "target": target, "weight": weight})
        if edge.reader:
            read[target, edge.node] += weight
    return links + [{"source": s, "target": t, "weight": w} for (s, t), w in read.items()]


def _influence(links: list[Link]) -> dict[str, float]:
    """The share of all weights that a node and all that weigh more than it have.

    The viewer's slider keeps the nodes whose number is at most its own.
    """
    weights: dict[str, float] = defaultdict(float)
    for link in links:
        for name in (link["source"], link["target"]):
            weights[name] += abs(link["weight"])
    total, sum_so_far, shares = sum(weights.values()) or 1.0, 0.0, {}
    for name in sorted(weights, key=lambda name: -weights[name]):
        sum_so_far += weights[name]
        shares[name] = min(1.0, sum_so_far / total)
    return shares


def _node(
    name: str, node_id: str, circuit: NamedCircuit, at: int, influence: float
) -> dict[str, Any]:
    component, _, reader = name.partition(" ")
    kind = kind_of(component)
    head = component.partition(".h")[2]
    return {
        "node_id": node_id,
        "feature": int(head) if head else None,
        "layer": _layer(name, circuit),
        "ctx_idx": at,
        "feature_type": f"attention {reader}" if reader else TYPES[kind],
        "jsNodeId": node_id,
        "clerp": name,
        "influence": influence,
    }


def _layer(name: str, circuit: NamedCircuit) -> str:
    return "E" if name == "input" else str(layer_of(name.split(" ")[0], circuit))


def _feature(name: str) -> str:
    """What tells the nodes of a layer apart."""
    component, _, reader = name.partition(" ")
    head = component.partition(".h")[2]
    return f"{head}{reader}" if head else kind_of(component).lower()
