"""Folders of records: what is whole, whose turn it is, and whose record is whose."""

import os
import time
from dataclasses import replace

import pytest
from support.made.records import record

from benchmark.digests import digest_of_file
from benchmark.errors import UserError
from benchmark.records.record import CIRCUITS_FILE, RECORD, TABLE
from benchmark.records.store import Folder, folders, join, members


@pytest.fixture
def whole(tmp_path):
    """A folder with a record and the files that it names."""
    folder = Folder(tmp_path, "a")
    folder.path.mkdir()
    for name in (TABLE, CIRCUITS_FILE):
        (folder.path / name).write_bytes(b"numbers")
    files = {name: digest_of_file(folder.path / name) for name in (TABLE, CIRCUITS_FILE)}
    replace(record("a"), files=files).write(folder.path / RECORD)
    return folder


def test_a_record_counts_only_with_the_files_that_it_names(whole):
    assert whole.record().key == "a"
    (whole.path / TABLE).write_bytes(b"nunbers")
    assert whole.record() is None
    (whole.path / TABLE).unlink()
    assert whole.record() is None


def test_a_record_counts_only_under_its_own_key(whole):
    moved = Folder(whole.results_dir, "a copy")
    whole.path.rename(moved.path)
    assert moved.record() is None
    with pytest.raises(UserError, match="a copy holds a copy of record a; delete it, or move it"):
        moved.read()


def test_what_is_put_aside_keeps_its_checkpoints_in_place(whole):
    for number, name in enumerate(("a-20260102T030405", "a-20260102T030405-2")):
        whole.work.mkdir(parents=True)
        (whole.work / "state").write_text(str(number))
        aside = whole.put_aside("2026-01-02T03:04:05")
        assert aside.name == name and not (whole.path / RECORD).exists()
        assert [path.name for path in whole.path.iterdir()] == [whole.work.name]
        assert (whole.work / "state").read_text() == str(number)
        (whole.work / "state").unlink()
        whole.work.rmdir()


def test_a_second_process_waits_for_the_first(tmp_path):
    """The child holds the folder for a moment; whoever comes meanwhile is told that it waited."""
    folder = Folder(tmp_path, "a")
    held, is_held = os.pipe()
    child = os.fork()
    if child == 0:
        with folder.locked():
            os.write(is_held, b"x")
            time.sleep(0.3)
            (tmp_path / "done").touch()
        os._exit(0)
    os.read(held, 1)
    with folder.locked() as waited:
        assert waited and (tmp_path / "done").exists()
    os.waitpid(child, 0)
    with folder.locked() as waited:
        assert not waited


def test_records_of_experiments(whole):
    join(whole, None)
    with pytest.raises(UserError, match="experiments there: none"):
        members(whole.results_dir, "first")
    join(whole, "first")
    join(Folder(whole.results_dir, "b"), "first")
    join(whole, "second")
    assert members(whole.results_dir, "first") == {"a", "b"}
    assert members(whole.results_dir, "second") == {"a"}
    with pytest.raises(UserError, match="experiments there: first, second"):
        members(whole.results_dir, "third")


def test_folders_come_in_the_order_of_their_keys(whole):
    other = Folder(whole.results_dir, "0")
    other.path.mkdir()
    record("0").write(other.path / RECORD)
    (whole.results_dir / "empty").mkdir()
    assert [folder.key for folder in folders(whole.results_dir)] == ["0", "a"]
    with pytest.raises(UserError, match="does not exist; run something first"):
        folders(whole.results_dir / "elsewhere")
    with pytest.raises(UserError, match="cannot be read: Not a directory"):
        folders(whole.path / TABLE)


@pytest.mark.parametrize("name", ["../../x", "/x", "a\\b", "..", "", "n" * 201, "a\x1b", "a\nb"])
def test_an_experiment_never_leaves_the_folder_of_results(name, whole, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for use in (lambda: join(whole, name), lambda: members(tmp_path, name)):
        with pytest.raises(UserError, match="is not the name of a folder"):
            use()
    assert sorted(tmp_path.rglob("*")) == before
    join(whole, "n" * 200)
    assert members(tmp_path, "n" * 200) == {"a"}
