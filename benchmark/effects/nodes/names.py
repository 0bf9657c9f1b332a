"""What nodes are called, for those who compute and for those who only report, without torch.

A file of scores gives a node by four numbers: its layer, site, unit (head or neuron) and position.
"""

# Queries, keys, values and outputs of heads, and neurons, by the number of their site.
SITE_LETTERS = ("q", "k", "v", "z", "n")


def node_name(layer: int, site: int, unit: int, position: int | None) -> str:
    """A node in words: `a3.h1<q>@12`, `m2.n17@5`; without a position if it stands for all."""
    letter = SITE_LETTERS[site]
    where = f"m{layer}.n{unit}" if letter == "n" else f"a{layer}.h{unit}<{letter}>"
    return where if position is None else f"{where}@{position}"
