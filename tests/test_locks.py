"""Locks whose files go: one process at a time, and none waits for a file that is gone."""

import os

import pytest

from benchmark.locks import Timeout, holding, remove_dead_locks


def test_a_lock_leaves_no_file(tmp_path):
    path = tmp_path / "made" / ".a.lock"
    with holding(path):
        with pytest.raises(Timeout), holding(path, wait=False):
            pass
        assert path.exists()
    assert not path.exists()


def test_one_process_at_a_time_though_the_file_goes_each_time(tmp_path):
    """Each adds one to a number, in two steps, between which another might come."""
    number = tmp_path / "number"
    number.write_text("0")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(50):
                with holding(tmp_path / ".a.lock"):
                    number.write_text(str(int(number.read_text()) + 1))
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert number.read_text() == "200"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_only_locks_that_nobody_holds_are_removed(tmp_path):
    (tmp_path / ".dead.lock").touch()
    with holding(tmp_path / ".alive.lock"):
        remove_dead_locks(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".alive.lock"]
