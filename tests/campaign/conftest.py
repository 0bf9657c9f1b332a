"""Undisturbed runs of the cells, and how much of a campaign is asked for."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.campaign import CELLS, contents, runner, spent
from support.faults import counting_into


@dataclass(frozen=True)
class Undisturbed:
    """A finished run of one cell.

    Attributes:
        chosen: the cell.
        results: its folder of results.
        contents: all that it left.
        spent: the passes of the record.
        n_operations: how many file operations it took.
    """

    chosen: dict
    results: Path
    contents: dict[str, object]
    spent: dict[str, float]
    n_operations: int


@pytest.fixture(scope="session")
def run_cells(tmp_path_factory):
    """Runs cells in children that share what is loaded once."""
    with runner(tmp_path_factory.mktemp("shared")) as run:
        yield run


@pytest.fixture(scope="session")
def undisturbed(run_cells, tmp_path_factory):
    """A finished run of each cell."""
    places = ((chosen, tmp_path_factory.mktemp(chosen["method"])) for chosen in CELLS)
    return [finished_run(run_cells, chosen, place) for chosen, place in places]


def finished_run(run_cells, chosen, place):
    result = run_cells(place, [chosen], counting_into(place / "count"))
    assert result.returncode == 0, result.stderr
    results, n_operations = place / "results", int((place / "count").read_text())
    return Undisturbed(chosen, results, contents(results), spent(results), n_operations)


@pytest.fixture(scope="session")
def whole(request):
    """Whether every fault is tried, not a sample."""
    return request.config.getoption("--whole-campaign")


@pytest.fixture(scope="session")
def sample(request, whole, undisturbed):
    """Cells and numbers of file operations: all, one of N equal parts, or a few, evenly spread."""
    part = request.config.getoption("--campaign-part")

    def chosen(n_sampled):
        every = [(one, n + 1) for one in undisturbed for n in range(one.n_operations)]
        if part:
            first, n_parts = map(int, part.split("/"))
            return every[first - 1 :: n_parts]
        return every if whole else every[:: max(1, len(every) // n_sampled)]

    return chosen
