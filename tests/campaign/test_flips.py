"""A flipped bit in any file that a cell keeps or leaves is noticed; the same command heals it."""

import random
import shutil
import signal

import pytest
from support.campaign import contents
from support.faults import kill_at

from benchmark.errors import UserError
from benchmark.records.record import CONFIG, LOG, RECORD
from benchmark.records.store import SHARED, folders
from benchmark.run.findings.discovery import FACTS, load_discovery
from benchmark.tensors import read_tensors
from benchmark.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
# Of each kind of file: in the whole campaign, and in a sample.
FLIPS, FEW = 200, 30


def flipped(content, draw):
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def unnoticed(path, notices, draw, flips):
    """How many of some flips of a file pass without a word."""
    content, silent = path.read_bytes(), 0
    for _ in range(flips):
        path.write_bytes(flipped(content, draw))
        silent += not notices()
    path.write_bytes(content)
    return silent


def refused(read):
    try:
        read()
    except UserError:
        return True
    return False


@pytest.fixture
def flips(whole):
    return FLIPS if whole else FEW


def test_no_flip_in_a_record_or_beside_it_passes(undisturbed, tmp_path, flips):
    draw, found = random.Random(0), {}
    for one in undisturbed:
        results = tmp_path / one.chosen["method"]
        shutil.copytree(one.results, results)
        (folder,) = folders(results)
        for path in sorted(folder.path.iterdir()):
            if path.name != LOG:
                silent = unnoticed(path, lambda f=folder: f.record() is None, draw, flips)
                found[path.name] = found.get(path.name, 0) + silent
        assert folder.read()
    assert {RECORD, CONFIG, "table.parquet", "circuits.safetensors"} <= found.keys()
    assert {"scores.safetensors", "tensors.safetensors"} <= found.keys()
    assert set(found.values()) == {0}


def test_no_flip_in_what_cells_share_passes(undisturbed, tmp_path, flips):
    (results,) = (one.results for one in undisturbed if one.chosen["method"] == "atp")
    shutil.copytree(results / SHARED, tmp_path / SHARED)
    files = [path for path in (tmp_path / SHARED).rglob("*") if path.is_file()]
    assert files
    draw, path = random.Random(1), files[0]
    assert unnoticed(path, lambda: refused(lambda: read_tensors(path)), draw, flips) == 0


@pytest.fixture
def interrupted(run_cells, undisturbed, tmp_path):
    """A cell that was killed after its last checkpoint, with all that it keeps until its end."""
    (one,) = (one for one in undisturbed if one.chosen["method"] == "ugs")
    for number in range(one.n_operations - 10, 0, -7):
        place = tmp_path / str(number)
        place.mkdir()
        assert run_cells(place, [one.chosen], kill_at(number)).returncode == -signal.SIGKILL
        work = [path for path in place.glob("results/*/checkpoints/*") if path.suffix != ".part"]
        if not list(place.glob(f"results/*/{RECORD}")) and len(work) > 3:
            return one, place, work
    raise AssertionError("it keeps nothing")


def test_no_flip_in_a_checkpoint_passes_and_each_is_healed(run_cells, interrupted, tmp_path, flips):
    one, place, work = interrupted
    draw, kinds = random.Random(2), set()
    for path in work:
        if ".checkpoint" in path.name:
            kinds.add("checkpoint")

            def notices(path=path):
                noticed = load_checkpoint(path, "cpu") is None
                path.with_name(path.name + ".damaged").unlink(missing_ok=True)
                return noticed

            assert unnoticed(path, notices, draw, flips) == 0
        elif path.name == FACTS or path.suffix == ".safetensors":
            kinds.add(path.name)
            assert (
                unnoticed(path, lambda p=path: load_discovery(p.parent) is None, draw, flips) == 0
            )
    assert kinds >= {"checkpoint", FACTS, "circuits.safetensors"}
    for path in work:
        again = tmp_path / f"again {path.name}"
        shutil.copytree(place, again)
        damaged = again / path.relative_to(place)
        damaged.write_bytes(flipped(damaged.read_bytes(), draw))
        assert run_cells(again, [one.chosen]).returncode == 0
        assert contents(again / "results") == one.contents


@pytest.mark.parametrize("kind", [RECORD, "table.parquet", SHARED])
def test_the_same_command_heals_what_is_damaged(run_cells, undisturbed, tmp_path, kind):
    (one,) = (one for one in undisturbed if one.chosen["method"] == "atp")
    shutil.copytree(one.results, tmp_path / "results")
    (folder,) = folders(tmp_path / "results")
    if kind == SHARED:
        (folder.path / RECORD).unlink()
        damaged = next(p for p in (tmp_path / "results" / SHARED).rglob("*") if p.is_file())
    else:
        damaged = folder.path / kind
    damaged.write_bytes(flipped(damaged.read_bytes(), random.Random(3)))
    assert run_cells(tmp_path, [one.chosen]).returncode == 0
    assert contents(tmp_path / "results") == one.contents
