"""Sizes of circuits as they are typed: numbers of edges, or shares of all edges."""

from collections.abc import Sequence

from benchmark.errors import UserError


def check_sizes(sizes: Sequence[object]) -> None:
    """Check the sizes before a model is loaded.

    Raises:
        UserError: one is neither a number of edges nor a share.
    """
    for size in sizes:
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not whole and not (isinstance(size, float) and 0 <= size <= 1):
            raise UserError(
                f"sizes has {size!r}; give numbers of edges (100), or shares of all edges "
                "from 0.0 to 1.0"
            )


def in_edges(sizes: Sequence[int | float], n_edges: int, model: str) -> list[int]:
    """The sizes in edges, smallest first; shares are rounded down, as in MIB.

    Raises:
        UserError: a size is larger than the graph.
    """
    edges = {size if isinstance(size, int) else int(size * n_edges) for size in sizes}
    if edges and max(edges) > n_edges:
        raise UserError(
            f"sizes has {max(edges)} edges; {model} has {n_edges:,} "
            "(write a share with a point: 0.5, 1.0)"
        )
    return sorted(edges)
