"""A submission to MIB's board: its folders and files, what is left out, and what is refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from support.cells import cell
from support.independent.mib_board import columns

from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.method.found import load_circuits, load_scores
from benchmark.mib import cell_files
from benchmark.mib.board import BOARD_SHARES, board_cells, lacking
from benchmark.mib.files import read_mib
from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES, Record
from benchmark.run.runner import run_cell

COMMAND = Path(sys.executable).with_name("ablation-bench")
QWEN = "Qwen/Qwen2.5-0.5B"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """One real record, of 2, 11, 55 and all 110 edges."""
    settings = cell(tmp_path_factory.mktemp("found"), sizes=[2, 0.1, 0.5, 1.0])
    return settings, run_cell(settings).record


@pytest.fixture
def results(found, tmp_path):
    """The folder of the real record, and a maker of others, as if of another task or model."""
    settings, record = found
    folder = tmp_path / "results"
    shutil.copytree(settings.results_dir, folder)

    def pretend(key, task="ioi", model="gpt2", method="eap", facts=record.model):
        shutil.copytree(folder / record.key, folder / key)
        config = {
            **record.config,
            "task": {**record.config["task"], "name": task},
            "model": {**record.config["model"], "name": model},
        }
        names = {**record.names, "task": task, "model": model, "method": method}
        made = replace(record, key=key, config=config, names=names, model=facts)
        made.write(folder / key / RECORD)

    return folder, pretend


def submit(folder, **changes):
    """The settings of the verb with some changed, and what running it prints."""
    asked = configured_alone("submit", results_dir=str(folder), **changes)
    output = StringIO()
    Console(width=200, file=output).print(asked.run())
    return output.getvalue()


@pytest.mark.parametrize("form", ["json", "pt"])
def test_each_cell_has_the_largest_circuits_within_the_shares(found, results, form):
    folder, pretend = results
    pretend("a", "ioi_io_flip", "gpt2")
    pretend("b", "colour_copying", QWEN)
    printed = submit(folder, format=form)
    place = folder / "submission"
    assert {entry.name for entry in place.iterdir()} == {"ioi_gpt2", "mcqa_qwen2.5"}
    settings, record = found
    stored = load_circuits(settings.folder.path / CIRCUITS_FILE)
    graph, keep = stored[0].mask.graph, [one.mask.keep for one in stored]
    for cell_folder in place.iterdir():
        sizes = []
        for share in BOARD_SHARES:
            path = cell_folder / f"edges_{100 * share:g}_percent.{form}"
            content = read_mib(path, graph)
            assert content.scores is None and content.mask.size <= share * record.n_edges
            assert content.mask.size == 0 or any(
                torch.equal(content.mask.keep, mask) for mask in keep
            )
            sizes.append(content.mask.size)
        assert sizes == [0, 0, 0, 0, 2, 2, 11, 11, 55]
        assert len(list(cell_folder.iterdir())) == len(BOARD_SHARES) == 9
    assert "An empty circuit stands where the method found none" in printed
    assert "Left out, as MIB's board does not have them: ioi_tiny_gpt2" in printed
    assert "MIB's board takes" not in printed
    if form == "json":
        cfg = json.loads((place / "ioi_gpt2" / "edges_50_percent.json").read_text())["cfg"]
        shape = settings.model_choice.load().shape
        assert cfg["d_model"] == shape.d_model and cfg["n_layers"] == shape.n_layers


def test_importances_are_the_scores_of_the_record(found, results):
    """One file a cell, which gives MIB the ranking that the method's own circuits came from."""
    folder, pretend = results
    pretend("a", "ioi_io_flip", "gpt2")
    submit(folder, form="importances")
    (file,) = (folder / "submission" / "ioi_gpt2").iterdir()
    settings, _ = found
    scores = load_scores(settings.folder.path / SCORES)[""]
    written = read_mib(file, scores.graph)
    assert file.name == "importances.pt" and written.mask is None
    assert torch.equal(written.scores.value, scores.value)
    submit(folder, form="circuits", overwrite=True)
    (folder / "a" / SCORES).unlink()
    record = Record.read(folder / "a" / RECORD)
    files = {name: digest for name, digest in record.files.items() if name != SCORES}
    replace(record, files=files).write(folder / "a" / RECORD)
    with pytest.raises(UserError, match="has 0 rankings of edges, not one"):
        submit(folder, form="importances", overwrite=True)


def test_circuits_of_a_second_method_count_for_cpr(results):
    folder, pretend = results
    for key, method in (("a", "ugs"), ("b", "hcgs")):
        pretend(key, "ioi_io_flip", "gpt2", method=method)
    printed = submit(folder, method_name="ugs", cpr_method_name="hcgs")
    place = folder / "submission"
    assert {str(path.relative_to(place)) for path in place.glob("*/*")} == {
        "abs_True/ioi_gpt2", "abs_False/ioi_gpt2",
    }  # fmt: skip
    assert set(columns(place)) == {("ioi", "gpt2", "CMD"), ("ioi", "gpt2", "CPR")}
    assert "https://huggingface.co/USER/REPOSITORY/tree/main/submission" in printed
    submit(folder, method_name="ugs", overwrite=True)
    assert [path.name for path in place.iterdir()] == ["ioi_gpt2"]


def test_the_board_has_the_published_cells():
    assert board_cells() == [
        "ioi_gpt2", "ioi_qwen2.5", "ioi_gemma2", "ioi_llama3",
        "mcqa_qwen2.5", "mcqa_gemma2", "mcqa_llama3",
        "arithmetic-addition_llama3", "arithmetic-subtraction_llama3",
        "arc-easy_gemma2", "arc-easy_llama3", "arc-challenge_llama3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "the tasks none and the models none"),
        ([("ioi", "gpt2"), ("ioi", "llama3")], "the tasks ioi and the models gpt2, llama3"),
        ([("ioi", "llama3"), ("mcqa", "llama3")], "the tasks ioi, mcqa and the models llama3"),
        ([("ioi", "gpt2"), ("mcqa", "llama3")], None),
    ],
)
def test_two_tasks_and_two_models_are_wanted(cells, message):
    assert message is None if lacking(cells) is None else message in lacking(cells)


def test_own_data_named_as_on_the_board_has_its_cell(results):
    folder, pretend = results
    pretend("a", "arc-easy", "meta-llama/Llama-3.1-8B")
    assert "MIB's board takes 2 tasks and 2 models or more" in submit(folder)
    assert [entry.name for entry in (folder / "submission").iterdir()] == ["arc-easy_llama3"]


@pytest.mark.parametrize(
    ("records", "changes", "message"),
    [
        ([], {}, "has none of the cells ioi_tiny_gpt2.*type other_cells=true"),
        ([], dict(seed=1), "seed=1 has no finished record; there are: 0"),
        ([], dict(method_name="epa"), "method_name=epa has no finished record, did you mean 'eap'"),
        (
            [],
            dict(ablation_name="optimal"),
            "ablation_name=optimal has no .*; there are: counterfactual",
        ),
        ([], dict(task_names=["ioi", "mcqa"]), "task_names=mcqa has no finished record"),
        ([dict(method="ugs")], {}, r"type one of method_name=eap\|ugs"),
        ([dict(facts={})], {}, "record a does not say how wide its model is"),
        (
            [dict(), dict(task="ioi_io_flip")],
            {},
            r"records a \(ioi, .*\) and b \(ioi_io_flip, .*\) are both of ioi_gpt2",
        ),
    ],
)
def test_what_cannot_be_submitted_is_refused_in_a_line(results, records, changes, message):
    folder, pretend = results
    for key, made in zip("ab", records, strict=False):
        pretend(key, **made)
    with pytest.raises(UserError, match=message) as refusal:
        submit(folder, **changes)
    assert len(str(refusal.value).splitlines()) == 1
    assert not (folder / "submission").exists()


def test_files_too_large_for_the_board_are_refused(results, monkeypatch):
    folder, pretend = results
    pretend("a")
    monkeypatch.setattr(cell_files, "LARGEST_FILE_MB", 0.001)
    with pytest.raises(UserError, match=r"MB as json; MIB's board reads .* type format=pt"):
        submit(folder, format="json")
    assert not (folder / "submission").exists()


def test_only_an_earlier_submission_is_replaced_and_only_on_request(results):
    folder, pretend = results
    pretend("a")
    submit(folder)
    with pytest.raises(UserError, match=r"is there and not empty.*overwrite=true"):
        submit(folder)
    submit(folder, overwrite=True, format="json")
    (written,) = (folder / "submission").iterdir()
    assert {path.suffix for path in written.iterdir()} == {".json"}
    before = sorted(folder.rglob("*"))
    for taken in (folder, folder / "a"):
        with pytest.raises(UserError, match="is there and not empty"):
            submit(folder, overwrite=True, directory=str(taken))
    assert sorted(folder.rglob("*")) == before


def test_a_crash_leaves_what_was_there(results, monkeypatch):
    folder, pretend = results
    pretend("a")
    submit(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    write, written = cell_files.write_mib, []

    def crash(*arguments):
        written.append(arguments)
        write(*arguments)
        if len(written) == 3:
            raise OSError("no space left")

    monkeypatch.setattr(cell_files, "write_mib", crash)
    with pytest.raises(UserError, match="cannot be written: no space left"):
        submit(folder, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == before
    assert not list(folder.glob(".submission*"))


@pytest.mark.slow
def test_the_verb_writes_other_cells_too_if_asked(results):
    folder, _ = results
    arguments = [f"results_dir={folder}", "other_cells=true", "method_name=eap", "format=json"]
    result = subprocess.run(
        [COMMAND, "submit", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert "Written, but MIB's board will not take them: ioi_tiny_gpt2" in result.stdout
    place = folder / "submission" / "ioi_tiny_gpt2"
    assert len(list(place.iterdir())) == 9
    content = json.loads((place / "edges_50_percent.json").read_text())
    assert sum(edge["in_graph"] for edge in content["edges"].values()) == 55
