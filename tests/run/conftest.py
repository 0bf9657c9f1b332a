"""A record that several files of tests look at."""

import pytest
from support.cells import cell

from benchmark.run.runner import run_cell


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The settings and the record of a cell that is evaluated under two ablations."""
    results_dir = tmp_path_factory.mktemp("results")
    settings = cell(results_dir, evaluate_under=["counterfactual", "mean"])
    return settings, run_cell(settings).record
