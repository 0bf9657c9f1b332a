"""A kill or a full disk at any file operation: the same command goes on, and ends alike."""

import shutil
import signal

import pytest
from support.campaign import age, contents, finished, spent
from support.faults import full_from, kill_at

pytestmark = pytest.mark.slow


def ends_alike(run_cells, one, place):
    """Run the same command again: what was finished is not run again, and all is as ever."""
    results = place / "results"
    before = finished(results)
    age(results)
    again = run_cells(place, [one.chosen])
    assert again.returncode == 0, again.stderr
    after = finished(results)
    assert {key: after[key] for key in before} == before
    assert contents(results) == one.contents
    cost = spent(results)
    assert cost.keys() == one.spent.keys()
    assert not {name: cost[name] for name, known in one.spent.items() if cost[name] < known}
    shutil.rmtree(place)


def test_a_kill_at_any_file_operation_loses_nothing(run_cells, sample, tmp_path, record_property):
    chosen = sample(6)
    for one, number in chosen:
        (tmp_path / "place").mkdir()
        killed = run_cells(tmp_path / "place", [one.chosen], kill_at(number))
        assert killed.returncode == -signal.SIGKILL, (number, killed.stderr)
        ends_alike(run_cells, one, tmp_path / "place")
    record_property("kills", len(chosen))


def test_a_disk_that_is_full_from_any_operation_on_loses_nothing(
    run_cells, sample, tmp_path, record_property
):
    chosen = sample(4)
    for one, number in chosen:
        place = tmp_path / "place"
        place.mkdir()
        full = run_cells(place, [one.chosen], full_from(number))
        whole = (place / "results").is_dir() and contents(place / "results") == one.contents
        assert full.returncode in (1, 2) or whole, (number, full.stderr)
        assert "Traceback" not in full.stderr, (number, full.stderr)
        ends_alike(run_cells, one, place)
    record_property("full disks", len(chosen))
