"""The main job as a user runs it: grids, resumes, faults, tables, pictures, the mirror."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from support.command import run_in_fork
from support.made.records import offline_records

from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES, TABLE, Record, Status

COMMAND = Path(sys.executable).with_name("ablation-bench")
QUICK = ("model=tiny_gpt2", "n_train=8", "n_test=8", "sizes=[0.1,0.3]", "threads=1")
CONSTANTS = ("constants.steps=2", "constants.batch_size=4")


def run(*arguments, cwd, timeout=240, **environment):
    """The command in a process of its own, where `run_in_fork` would leave something untested."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
        env={**os.environ, "WANDB_SILENT": "true", **environment},
    )


def states(output):
    """The state of each cell that a table of a command shows."""
    return re.findall(r"│ \S+ \S+ \S+ \S+ seed=\d+[^│]*│ \w* *│ (\w+) +│", output)


GRID = ("-m", "method=eap,random,reference", "ablation=counterfactual,optimal", *QUICK, *CONSTANTS)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A finished grid of six cells, of which two are skipped."""
    folder = tmp_path_factory.mktemp("grid")
    before = run_in_fork("validate", *GRID, cwd=folder)
    assert states(before.stdout) == ["missing"] * 6, before.stderr
    assert not (folder / "results").exists()
    result = run("run", *GRID, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert sorted(states(result.stdout)) == ["done"] * 4 + ["skipped"] * 2
    assert "4 done, 2 skipped" in result.stdout
    return folder


def records(folder):
    return [Record.read(path) for path in sorted((folder / "results").glob(f"*/{RECORD}"))]


@pytest.mark.slow
def test_a_grid_leaves_a_record_per_cell_and_runs_once(grid):
    found = records(grid)
    assert sorted(record.status.value for record in found) == ["done"] * 4 + ["skipped"] * 2
    skipped = [record for record in found if record.status is Status.skipped]
    assert all("no circuit of tiny_gpt2 is known" in record.reason for record in skipped)
    assert sorted(states(run_in_fork("validate", *GRID, cwd=grid).stdout)) == [
        *["done"] * 4, *["skipped"] * 2,
    ]  # fmt: skip

    def times():
        files = (grid / "results").glob("[0-9a-f]*/*")
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    again = run_in_fork("run", *GRID, cwd=grid)
    assert again.stdout.count("was there before") == 4
    assert times() == before
    assert {entry.name for entry in grid.iterdir()} <= {"results", "elsewhere"}


@pytest.mark.slow
def test_only_what_is_missing_is_run(grid):
    found = next(record for record in records(grid) if record.status is Status.done)
    path = grid / "results" / found.key / RECORD
    path.write_text(path.read_text()[:50])
    assert sorted(states(run_in_fork("validate", *GRID, cwd=grid).stdout))[-3:] == [
        "missing", "skipped", "skipped",
    ]  # fmt: skip
    again = run_in_fork("run", *GRID, cwd=grid)
    assert again.stdout.count("was there before") == 3
    assert Record.read(path).areas == found.areas


@pytest.mark.slow
def test_verify_runs_a_record_again(grid):
    found = next(record for record in records(grid) if record.status is Status.done)
    result = run_in_fork("verify", found.key, cwd=grid)
    assert result.returncode == 0, result.stderr
    assert "every number agrees exactly" in result.stdout
    wrong = run_in_fork("verify", found.key[:-2], cwd=grid)
    assert wrong.returncode == 2
    assert f"did you mean '{found.key}'" in wrong.stderr


@pytest.mark.slow
def test_the_leaderboard_compares_and_is_written(grid):
    result = run("leaderboard", "directory=elsewhere", cwd=grid)
    assert result.returncode == 0, result.stderr
    assert "mean log10 loss gap" in result.stdout
    written = {path.suffix: path.read_text() for path in (grid / "elsewhere").iterdir()}
    assert set(written) == {".md", ".csv", ".tex"}
    assert written[".md"].startswith("| method | counterfactual | optimal | mean rank |")
    assert [line.split(" | ")[0] for line in written[".md"].splitlines()[2:]] in (
        ["| eap", "| random"],
        ["| random", "| eap"],
    )
    assert r"\begin{tabular}{lrrrrr}" in written[".tex"]
    board = pd.read_csv(next((grid / "elsewhere").glob("*.csv")))
    eap = board[board["method"] == "eap"].iloc[0]
    shown = float(eap["counterfactual"].split()[0])
    (record,) = (
        r
        for r in records(grid)
        if r.names["method"] == "eap" and r.names["ablation"] == "counterfactual"
    )
    assert shown == pytest.approx(record.areas["counterfactual"]["log_area"], abs=1e-3)


@pytest.mark.slow
def test_holes_are_refused_unless_asked_for_and_other_prompts_are_labelled(grid, tmp_path):
    extra = ("method=eap", "ablation=counterfactual", *QUICK, "seed=1", f"results_dir={tmp_path}")
    assert run_in_fork("run", *extra, cwd=grid).returncode == 0
    for record in records(grid):
        (tmp_path / record.key).symlink_to(grid / "results" / record.key)
    holes = run_in_fork("leaderboard", f"results_dir={tmp_path}", cwd=grid)
    assert holes.returncode == 2
    assert "2 cells are missing or failed, the first: method=r" in holes.stderr
    assert "--allow-missing" in holes.stderr
    allowed = run_in_fork("leaderboard", f"results_dir={tmp_path}", "--allow-missing", cwd=grid)
    assert allowed.returncode == 0, allowed.stderr
    mixed = [*extra[:2], *QUICK, "n_test=9", f"results_dir={tmp_path}"]
    assert run_in_fork("run", *mixed, cwd=grid).returncode == 0
    labelled = run_in_fork("leaderboard", f"results_dir={tmp_path}", "--allow-missing", cwd=grid)
    assert "n_test=9" in labelled.stdout, labelled.stderr


@pytest.mark.slow
def test_every_picture_has_its_data(grid):
    result = run("figures", "directory=pictures", cwd=grid)
    assert result.returncode == 0, result.stderr
    folder = grid / "pictures"
    stems = {path.stem for path in folder.iterdir()}
    for stem in stems:
        assert (folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(folder / f"{stem}.csv")) > 0
    kinds = {stem.split("_")[0] for stem in stems}
    assert kinds == {"gap", "faithfulness", "ablations", "cost", "map", "circuit"}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.mark.slow
def test_tables_and_pictures_need_no_torch():
    code = (
        "import sys, benchmark.report.leaderboard, benchmark.report.figures; "
        "bad = {'torch', 'transformer_lens', 'transformers'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_finished_record_is_mirrored_offline(tmp_path):
    arguments = ("method=eap", "ablation=counterfactual", *QUICK, "tracking=offline")
    result = run("run", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (record,) = records(tmp_path)
    (file,) = (tmp_path / "results" / "wandb").glob("offline-run-*/*.wandb")
    assert not (tmp_path / "wandb").exists()
    assert file.name == f"run-{record.key}.wandb"
    content = list(offline_records(file))
    runs = [r.run for r in content if r.WhichOneof("record_type") == "run"]
    assert runs[0].run_id == record.key and runs[0].project == "ablation-bench"
    config = {u.key: json.loads(u.value_json) for r in runs for u in r.config.update}
    assert config["n_train"] == 8 and config["names"]["method"] == "eap"
    history = {
        (item.key or ".".join(item.nested_key)): item.value_json
        for r in content
        if r.WhichOneof("record_type") == "history"
        for item in r.history.item
    }
    assert {"curve", "gap", "circuit"} <= {key.split(".")[0] for key in history}
    summary = {
        (u.key or ".".join(u.nested_key)): json.loads(u.value_json)
        for r in content
        if r.WhichOneof("record_type") == "summary"
        for u in r.summary.update
    }
    sent = {file.path for one in content for file in one.artifact.manifest.contents}
    assert {RECORD, TABLE, CIRCUITS_FILE, SCORES} <= sent
    cmd = record.areas["counterfactual"]["cmd"]
    assert summary["cmd/counterfactual"] == pytest.approx(cmd)


@pytest.mark.slow
def test_a_mirror_that_fails_costs_no_record(tmp_path):
    """Online without a key or a network."""
    arguments = ("method=eap", "ablation=counterfactual", *QUICK, "tracking=online")
    environment = {"WANDB_API_KEY": "", "WANDB_MODE": "", "HOME": str(tmp_path)}
    result = run("run", *arguments, cwd=tmp_path, **environment)
    assert result.returncode == 0, result.stderr
    (record,) = records(tmp_path)
    assert record.status is Status.done
    assert (tmp_path / "results" / record.key / "tracking_error.txt").exists()
    assert "tracking=online failed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method=egs"], "method=egs does not exist, did you mean 'ugs'"),
        (["task=ioi,dosctring", "-m"], "task=dosctring does not exist, did you mean 'docstring'"),
        (["methd=ugs"], "config.methd is not a setting, did you mean 'method'"),
        (["method=ugs", "method.step=3"], "method.step is not a setting of method=ugs, did you me"),
        (["method=ugs", "method.steps=x"], "method.steps cannot be used: Value 'x'"),
        (
            ["experiment=smoke", "ablation.constants.steps=3"],
            "ablation.constants is not a setting of ablation=counterfactual, did you mean 'constan",
        ),
        (
            ["experiment=smoke", "method.foo="],
            "method.foo is not a setting of method=eap; allowed:",
        ),
        (
            ["experiment=smoke", "method=ugs", "method.foo=1"],
            "method.foo is not a setting of method=ugs; allowed: ",
        ),
        (["task=own_data"], "task.data has no value; type task.data=VALUE"),
        (["n_train=many"], "run.n_train cannot be used: Value 'many'"),
        (["attribution_metric=klk"], "metric=klk does not exist"),
        (["evaluate_under=[meen]"], "ablation=meen does not exist, did you mean 'mean'"),
        (["constants.step=3"], "config.constants.step is not a setting, did you mean 'steps'"),
        (["task=ioi,docstring"], "task=ioi,docstring names several values; add -m"),
        (["model=/no/such"], "model=/no/such is no directory; give one that save_pretrained wrote"),
        (["foo"], "'foo' is not a setting; write key=value"),
        (["sizes=[2.5]"], "sizes has 2.5; give numbers of edges"),
        (["results_dir=" + "x" * 300], "results_dir=/"),
        (["results_dir='${x}'"], "results_dir='${x}' "),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, message):
    result = run_in_fork("run", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith(f"ablation-bench: {message}"), result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["validate", "leaderboard", "figures", "submit"])
@pytest.mark.parametrize(
    ("results_dir", "message"),
    [("x" * 300, "results_dir=x+ cannot be read: File name too long"), ("'${x}'", "x")],
)
def test_a_folder_that_cannot_be_read_is_one_line(tmp_path, verb, results_dir, message):
    result = run_in_fork(verb, f"results_dir={results_dir}", cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert re.match(f"ablation-bench: .*{message}", line), line


@pytest.mark.slow
def test_a_failed_cell_ends_with_1_and_spares_the_others(tmp_path):
    arguments = ("-m", "method=random", "ablation=counterfactual", "sizes=[200],[50]")
    result = run_in_fork("run", *arguments, *QUICK[:3], cwd=tmp_path)
    assert result.returncode == 1
    assert states(result.stdout) == ["failed", "done"]
    assert "sizes has 200 edges; tiny_gpt2 has 110" in result.stdout
    stopped = run_in_fork("run", *arguments, *QUICK[:3], "fail_fast=true", "seed=1", cwd=tmp_path)
    assert stopped.returncode == 1
    assert states(stopped.stdout) == ["failed"]


@pytest.mark.slow
def test_a_results_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    result = run_in_fork("run", *QUICK, cwd=tmp_path)
    assert result.returncode == 2
    assert f"results_dir={tmp_path}/results cannot be written" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


UGS = (
    "method=ugs", "ablation=optimal", "method.prices=[0.01,0.1]", "method.masks_per_step=2",
    "training_steps=250", *QUICK, "constants.steps=120", "constants.batch_size=4",
)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run("run", *UGS, cwd=folder).returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("waited_for", ["masks_0.checkpoint", "constants_optimal.checkpoint.0"])
def test_a_killed_run_goes_on_and_ends_alike(undisturbed, tmp_path, waited_for):
    """kill -9 after the first checkpoint of training, or of evaluation."""
    process = subprocess.Popen(
        [COMMAND, "run", *UGS], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(f"results/*/checkpoints/{waited_for}")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob(f"results/*/{RECORD}"))
    assert "begun; goes on where it was" in run_in_fork("validate", *UGS, cwd=tmp_path).stdout
    assert run("run", *UGS, cwd=tmp_path).returncode == 0
    (mine,), (theirs,) = (
        list(place.glob(f"results/*/{TABLE}")) for place in (tmp_path, undisturbed)
    )
    assert pd.read_parquet(mine).equals(pd.read_parquet(theirs))


@pytest.mark.slow
def test_two_processes_on_one_cell_make_one_record(tmp_path):
    arguments = [COMMAND, "run", *UGS[:2], "training_steps=30", *UGS[2:4], *QUICK, *CONSTANTS]
    pair = [
        subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=240)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sorted("was there before" in output for output in outputs) == [False, True]
    (record,) = records(tmp_path)
    assert record.status is Status.done


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"),
    ],
    ids=["joblib", "submitit_local"],
)
def test_launchers_run_cells_in_processes_of_their_own(tmp_path, launcher):
    """submitit_local runs what submitit_slurm would hand to Slurm. Files here hide nothing."""
    for name in ("tasks.py", "methods.py", "benchmark.py", "conf.py"):
        (tmp_path / name).write_text("raise SystemExit('the file of the user was run')")
    arguments = ("-m", "method=eap,random", "ablation=counterfactual", *QUICK, *launcher)
    result = run("run", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert states(result.stdout) == ["done", "done"]
    assert [record.status for record in records(tmp_path)] == [Status.done] * 2


@pytest.mark.slow
def test_scores_and_pictures_know_the_published_and_the_random(tmp_path):
    """A known circuit gives AUROCs; random draws give z; published curves are overlaid."""
    model = ("model=ioi_known_circuit", "n_train=16", "n_test=16", "threads=1")
    arguments = ("-m", "method=eap,random,reference", "ablation=counterfactual", *model)
    result = run_in_fork("run", *arguments, "sizes=[22,100]", cwd=tmp_path)
    assert result.returncode == 0 and "3 done" in result.stdout, result.stdout + result.stderr
    by_method = {record.names["method"]: record for record in records(tmp_path)}
    assert all(record.recovery for record in by_method.values()), by_method
    assert by_method["eap"].recovery["auroc_edges"] > 0.75
    assert by_method["reference"].recovery["auroc_edges"] == 1
    assert by_method["random"].recovery["auroc_edges"] < 0.7
    curve = pd.read_parquet(tmp_path / "results" / by_method["reference"].key / TABLE)
    assert list(curve["size"]) == [22] and curve["accuracy"].iloc[0] > 0.9
    z = run_in_fork("leaderboard", "score=z", cwd=tmp_path)
    assert z.returncode == 0, z.stderr
    reports = tmp_path / "results" / "reports"
    board = pd.read_csv(reports / "leaderboard_z_0.1.csv", index_col="method")
    assert float(board.loc["eap", "ioi"]) < -3
    assert float(board.loc["random", "ioi"]) == 0
    both = run_in_fork("leaderboard", "score=auroc", "published=true", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    board = pd.read_csv(reports / "leaderboard_auroc.csv", index_col=0)
    assert float(board.loc["eap", "edges"]) > float(board.loc["random", "edges"])
    assert "nothing published of these tasks on these models" in " ".join(both.stdout.split())
    figures = run_in_fork("figures", "published=true", "circuits=false", cwd=tmp_path)
    assert figures.returncode == 0, figures.stderr
    for kind in ("gap", "faithfulness", "roc"):
        name = f"{kind}_ioi_ioi_known_circuit_counterfactual.png"
        assert (tmp_path / "results" / "reports" / name).exists()
