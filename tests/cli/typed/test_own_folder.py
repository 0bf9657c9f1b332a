"""A folder of options is data: what would run code in it, or never end, is refused."""

import time

import pytest
from support.command import run_in_fork

from benchmark.cli.typed.own_folder import check_folder
from benchmark.errors import UserError

CODE = {
    "callbacks": "hydra:\n  callbacks:\n    a: {_target_: os.system, command: touch ran}\n",
    "environment": "hydra:\n  job:\n    env_set: {LD_PRELOAD: /x.so}\n",
    "launcher": "hydra:\n  launcher: {_target_: os.system}\n",
    "search path": "hydra:\n  searchpath: [file:///tmp]\n",
    "package": "# @package hydra.callbacks\na: {_target_: os.system}\n",
    "relocated": "defaults:\n  - task@hydra.callbacks: ioi\n",
    "group": "defaults:\n  - override hydra/callbacks: mine\n",
    "all of it": "hydra: ${x}\n",
}


@pytest.mark.parametrize("text", CODE.values(), ids=CODE)
def test_what_hydra_would_run_is_refused(text, tmp_path):
    option = tmp_path / "options" / "experiment" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(text if text.startswith("#") else f"# @package _global_\n{text}")
    for flag in (["--config-dir", "options"], ["-cd=options"]):
        result = run_in_fork("validate", "experiment=mine", *flag, cwd=tmp_path)
        assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
        assert "options are data" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["options"]


def test_a_group_of_hydras_own_and_a_search_path_are_refused(tmp_path):
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / "mine.yaml").write_text("a: 1\n")
    with pytest.raises(UserError, match="lies in a group of Hydra's own"):
        check_folder(tmp_path)
    result = run_in_fork("validate", f"hydra.searchpath=[file://{tmp_path}]", cwd=tmp_path)
    assert result.returncode == 2 and "--config-dir FOLDER" in result.stderr


@pytest.mark.slow
def test_what_a_grid_needs_is_taken(tmp_path):
    option = tmp_path / "options" / "experiment" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/launcher: basic\nhydra:\n"
        "  mode: MULTIRUN\n  sweeper: {params: {seed: '0,1'}}\n"
    )
    result = run_in_fork("validate", "experiment=mine", "--config-dir", "options", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 missing" in result.stdout


def doubled(name):
    anchors = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"]
    anchors += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)]
    return {
        "anchors": "".join(anchors),
        "itself": "a: &a [*a]\n",
        "deep": "[" * 5000,
        "references": "".join(f"a{n}: ${{a{n + 1}}}${{a{n + 1}}}\n" for n in range(200)),
        "chain": "".join(f"a{n}: ${{a{n + 1}}}${{a{n + 1}}}\n" for n in range(22)) + "a22: x\n",
        "by one": "a: ${b}${b}\nb: ${c}\nc: ${d}${d}\nd: x\n",
        "mappings": "a: {p: '${b}', q: '${b}'}\nb: {p: '${c}', q: '${c}'}\nc: x\n",
        "lists": "a: ['${b}', '${b}']\nb: ['${c}', '${c}']\nc: x\n",
        "nested": "a: ${b.${c}}\nb: {x: '${c}${c}'}\nc: x\n",
        "large": "a: 1\n" * 100_000,
        "not text": "a: \udcff",
    }[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "anchors",
        "itself",
        "deep",
        "references",
        "large",
        "not text",
        "chain",
        "by one",
        "mappings",
        "lists",
        "nested",
    ],
)
def test_bombs_are_cut_at_once(name, tmp_path):
    text = doubled(name).encode("utf-8", "surrogateescape")
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "bomb.yaml").write_bytes(text)
    begun = time.process_time()
    with pytest.raises(UserError, match=r"bomb\.yaml|several references") as caught:
        check_folder(tmp_path)
    # Whole, each would take minutes, or all memory.
    assert time.process_time() - begun < 20
    assert "\n" not in str(caught.value)


def test_a_chain_through_several_files_is_cut_and_plain_references_are_taken(tmp_path):
    for group, other in (("task", "method"), ("method", "model")):
        (tmp_path / group).mkdir()
        text = f"name: ${{{other}.name}}-${{{other}.name}}\n"
        (tmp_path / group / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=r"task.* has several references .* leads to method"):
        check_folder(tmp_path)
    (tmp_path / "method" / "mine.yaml").write_text("name: ${names.method}\n")
    (tmp_path / "task" / "mine.yaml").write_text("a: '${seed}'\nname: ${names.task}_${n_test}\n")
    (tmp_path / "task" / "other.yaml").write_text("name: ${task.data}_${seed}\ndata: ${a.b}\n")
    check_folder(tmp_path)
    moved = "# @package task\nname: ${method.name}${method.name}\n"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "moved.yaml").write_text(moved)
    (tmp_path / "method" / "mine.yaml").write_text("name: ${model.name}${model.name}\n")
    with pytest.raises(UserError, match="has several references"):
        check_folder(tmp_path)
