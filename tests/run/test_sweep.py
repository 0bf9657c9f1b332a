"""The notes of a command's cells, and how commands end."""

from dataclasses import replace

import pytest
from rich.console import Console

from benchmark.run import sweep
from benchmark.run.sweep import Note, gathering, note, noted, summary

NOTE = Note("my ioi", "eap", "zero", "tiny", 3, ("n_train=8", "+a='x y'"), "0f", "done", "", None)


def shown(notes):
    console = Console(width=140)
    with console.capture() as capture:
        console.print(summary(notes))
    return capture.get()


def test_a_name_with_a_space_hides_no_seed_and_no_change():
    other = replace(NOTE, changes=("n_train=8", "+a='y x'"))
    first, second = (line for line in shown([NOTE, other]).splitlines() if "my ioi" in line)
    assert "my ioi eap zero tiny seed=3 +a='x y' " in first
    assert "my ioi eap zero tiny seed=3 +a='y x' " in second
    assert "n_train" not in first


@pytest.mark.parametrize("report_on", [None, ("results", None), ("results", "first")])
def test_a_note_comes_back_as_it_was(tmp_path, report_on):
    entry = replace(NOTE, report_on=report_on)
    with gathering(tmp_path) as folder:
        note(10, entry)
        note(9, NOTE)
        assert noted(folder) == [NOTE, entry]
    assert sweep.reports_on([entry]) == ([] if report_on is None else [report_on])
