"""A circuit for networkx and Gephi (GraphML) and for Graphviz (DOT)."""

from typing import Any

import networkx as nx

from benchmark.export.circuit import NamedCircuit
from benchmark.report.circuits.drawing import READER_COLOURS


def graphml(circuit: NamedCircuit, facts: dict[str, str]) -> str:
    """GraphML: nodes have a `layer` and a `kind`, edges a `reader` and a `score`.

    Edges from one node to several readers of another are parallel, so it is a multigraph.
    """
    network = nx.MultiDiGraph(**facts, setting=circuit.setting)
    for name in circuit.nodes:
        network.add_node(name, layer=layer_of(name, circuit), kind=kind_of(name))
    for edge in circuit.edges:
        known: dict[str, Any] = {} if edge.score is None else {"score": edge.score}
        network.add_edge(edge.source, edge.node, reader=edge.reader, **known)
    return "\n".join(nx.generate_graphml(network)) + "\n"


def dot(circuit: NamedCircuit, facts: dict[str, str]) -> str:
    """DOT: from the input below to the logits above, edges coloured by what they are read as."""
    lines = [f"digraph {_quoted(facts['title'])} {{", "  rankdir=BT;", "  node [shape=box];"]
    lines += [f"  {_quoted(name)};" for name in circuit.nodes]
    for edge in circuit.edges:
        said = {"color": READER_COLOURS[edge.reader], "label": edge.reader}
        if edge.score is not None:
            said["tooltip"] = f"{edge.score:.5g}"
        words = ", ".join(f"{key}={_quoted(value)}" for key, value in said.items() if value)
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.node)} [{words}];")
    return "\n".join([*lines, "}"]) + "\n"


def kind_of(name: str) -> str:
    """What a node is: input, head, MLP or logits."""
    return {"a": "head", "m": "MLP"}.get(name[0], name) if name != "input" else name


def layer_of(name: str, circuit: NamedCircuit) -> int:
    """The layer of a node, with -1 for the input and as many as there are for the logits."""
    if name in ("input", "logits"):
        return -1 if name == "input" else circuit.graph.n_layers
    return int(name[1:].split(".")[0])


def _quoted(text: str) -> str:
    """A string of DOT, in which backslashes of a name are no escapes."""
    inner = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'
