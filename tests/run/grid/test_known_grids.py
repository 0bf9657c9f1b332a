"""Grids that were listed before: what is kept of them, and when they are listed anew."""

import os
import shutil
from pathlib import Path

import pytest
from support.command import run_in_fork

from benchmark.cli.gathered import tell
from benchmark.run.grid import known_grids
from benchmark.run.grid.jobs import with_state
from benchmark.run.grid.known_grids import known_grid, model_facts, remember_grid
from benchmark.run.grid.sweep import Note
from benchmark.zoo.cards import zoo_directory

TYPED = ["-m", "task=ioi", "seed=0,1"]


@pytest.fixture
def place(monkeypatch, tmp_path) -> Path:
    """A cache of its own, for this process and those that it forks, with a folder beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def kept(place):
    return [path for path in (place.parent / "cache").rglob("*") if path.is_file()]


def listed(model="tiny_gpt2", seed=0, **changes):
    facts = {"decided_by": {model: model_facts(model)}} | changes
    return Note("ioi", "eap", "mean", model, seed, ("a=1",), f"{seed:016x}", **facts)


def test_a_grid_is_known_by_what_was_typed(place):
    notes = [listed(seed=0), listed(seed=1)]
    assert known_grid(TYPED) is None
    remember_grid(TYPED, notes)
    assert known_grid(TYPED) == notes
    assert known_grid([*TYPED, "n_test=8"]) is None
    os.chdir(place.parent)
    assert known_grid(TYPED) is None


def test_a_changed_file_makes_it_unknown(place, monkeypatch):
    """A model's, and a source; of the same size and with the old time, too."""
    model = place / "model"
    shutil.copytree(zoo_directory("tiny_gpt2"), model)
    remember_grid(TYPED, [listed(str(model))])
    assert known_grid(TYPED) is not None
    config = model / "config.json"
    before = config.stat()
    config.write_text(config.read_text().replace("1", "2"))
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_grid(TYPED) is None
    remember_grid(TYPED, [listed(str(model))])
    monkeypatch.setattr(known_grids, "files", lambda package: place)
    known_grids._of_sources.cache_clear()
    assert known_grid(TYPED) is None
    known_grids._of_sources.cache_clear()


def test_a_name_of_the_hub_that_becomes_a_folder_is_another_model(place):
    remember_grid(TYPED, [listed("gpt2")])
    assert known_grid(TYPED) is not None
    shutil.copytree(zoo_directory("tiny_gpt2"), place / "gpt2")
    assert known_grid(TYPED) is None


@pytest.mark.parametrize(
    "typed",
    [
        "plugins=[mine]",
        "--config-dir=x",
        "-cd",
        "hydra.x=1",
        "hydra/launcher=y",
        "a=${oc.env:HOME}",
    ],
)
def test_what_lets_more_decide_is_not_kept(place, typed):
    remember_grid([*TYPED, typed], [listed()])
    assert not kept(place)


def test_a_cell_without_a_key_or_with_files_of_the_users_is_not_kept(place):
    remember_grid(TYPED, [listed(), listed(decided_by=None)])
    remember_grid(
        TYPED, [listed(), Note("ioi", "eap", "mean", "tiny_gpt2", 0, (), state="refused")]
    )
    remember_grid(TYPED, [])
    assert not kept(place)


def test_a_damaged_file_is_not_believed(place):
    remember_grid(TYPED, [listed()])
    (path,) = kept(place)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert known_grid(TYPED) is None
    path.write_bytes(whole[:-9])
    assert known_grid(TYPED) is None


def test_grids_of_sources_left_long_ago_are_removed(place):
    old = place.parent / "cache" / "ablation-bench" / "grids" / "old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    remember_grid(TYPED, [listed()])
    assert not old.exists() and len(kept(place)) == 1


def test_a_cache_that_cannot_be_written_does_no_harm(place, monkeypatch):
    (place / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "file"))
    remember_grid(TYPED, [listed()])
    assert known_grid(TYPED) is None


def test_states_are_those_of_now(place, capsys):
    entry = listed(results_dir=str(place / "results"))
    assert with_state(entry).state == "missing" and not with_state(entry).detail
    (place / "results" / entry.key).mkdir(parents=True)
    begun = with_state(entry)
    assert begun.detail == "begun; goes on where it was"
    assert tell([begun]) == 0 and entry.key in capsys.readouterr().out


@pytest.mark.slow
def test_validate_keeps_what_it_listed_unless_files_of_the_users_decide(place):
    grid = ("validate", "-m", "model=tiny_gpt2", "seed=0,1")
    first = run_in_fork(*grid, "task=ioi", cwd=place)
    assert first.returncode == 0 and len(kept(place)) == 1, first.stderr
    again = run_in_fork(*grid, "task=ioi", cwd=place)
    assert again.stdout == first.stdout
    (place / "own.jsonl").write_text(
        '{"clean": "a b", "corrupted": "c b", "answers": " d", "wrong": " e"}\n'
    )
    own = run_in_fork(*grid, "task=own_data", "task.data=own.jsonl", cwd=place)
    circuits = run_in_fork(*grid, "method=imported", cwd=place)
    assert own.returncode == circuits.returncode == 0, own.stderr + circuits.stderr
    assert len(kept(place)) == 1
