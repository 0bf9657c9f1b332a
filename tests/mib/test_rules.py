"""The board's rules on folders that are whole, and on each way in which one can be damaged."""

import shutil

import pytest
import torch
from support.independent.mib_board import columns
from support.made.mib import D_MODEL, random_mask, random_scores

from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.mib import rules
from benchmark.mib.board import BOARD_SHARES
from benchmark.mib.files import MibCircuit, write_mib
from benchmark.mib.rules import check_folder, check_link

GRAPH = ComputationalGraph(2, 4)
SCORES = random_scores(GRAPH)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The board's models, as small as the test's."""
    monkeypatch.setattr(rules, "GRAPHS", dict.fromkeys(rules.GRAPHS, (2, 4)))


def circuits(folder, form="pt", shares=BOARD_SHARES):
    for share in shares:
        mask = SCORES.top(int(share * GRAPH.n_edges))
        write_mib(folder / f"edges_{100 * share:g}.{form}", MibCircuit(mask=mask), D_MODEL)


def importances(folder, form="pt"):
    write_mib(folder / f"importances.{form}", MibCircuit(SCORES), D_MODEL)


@pytest.fixture
def place(tmp_path):
    """A folder that the board takes: nine circuits of one cell, and scores of another."""
    circuits(tmp_path / "sub" / "ioi_gpt2")
    importances(tmp_path / "sub" / "mcqa_qwen2.5")
    return tmp_path / "sub"


@pytest.mark.parametrize("form", ["pt", "json"])
def test_a_whole_folder_gives_both_scores_of_every_cell(tmp_path, form):
    circuits(tmp_path / "ioi_gpt2", form)
    importances(tmp_path / "mcqa_qwen2.5", form)
    checked, board = check_folder(tmp_path), columns(tmp_path)
    assert not checked.missing
    keys = {(c.task, c.model, c.score) for c in checked.columns}
    assert keys == board.keys() and len(keys) == 4
    wanted = [int(share * GRAPH.n_edges) for share in BOARD_SHARES]
    for (task, _, score), found in board.items():
        assert [len(edges) for edges in found] == wanted
        ranked = SCORES if score == "CPR" or task == "ioi" else SCORES.absolute()
        for edges, size in zip(found, wanted, strict=True):
            assert edges == set(ranked.top(size).keep.flatten().nonzero()[:, 0].tolist())


def test_folders_of_absolute_and_of_signed_scores_count_for_one_score_each(place):
    for sign, score in (("abs_True", "CMD"), ("abs_False", "CPR")):
        circuits(place / sign / "mcqa_gemma2")
        assert {(c.model, c.score) for c in check_folder(place).columns if c.folder.startswith(
            sign
        )} == {("gemma2", score)}  # fmt: skip
        assert ("mcqa", "gemma2", score) in columns(place)
    assert not check_folder(place).missing


def drop(folder):
    next(folder.iterdir()).unlink()


def add(folder):
    write_mib(folder / "more.pt", MibCircuit(mask=random_mask(GRAPH)), D_MODEL)


def cut(folder):
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes()[:-40])


def without(key):
    def change(folder):
        for file in folder.iterdir():
            content = torch.load(file, weights_only=True)
            del content[key]
            torch.save(content, file)

    return change


def another_model(folder):
    graph = ComputationalGraph(3, 4)
    for file in folder.iterdir():
        write_mib(file, MibCircuit(random_scores(graph), random_mask(graph)), D_MODEL)


def too_large(folder):
    files = sorted(folder.iterdir())
    for file in files:
        mask = SCORES.top(GRAPH.n_edges - 1)
        write_mib(file, MibCircuit(mask=mask), D_MODEL)


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("cell", "damage", "why"),
    [
        ("ioi_gpt2", drop, "it has 8 files; circuits stand at 9 shares by rank"),
        ("ioi_gpt2", add, "it has 10 files"),
        ("ioi_gpt2", cut, "is missing, damaged"),
        ("ioi_gpt2", empty, "has no .pt or .json file"),
        ("ioi_gpt2", without("cfg"), "it has no 'cfg'"),
        ("ioi_gpt2", another_model, "its cfg has n_layers=3"),
        ("ioi_gpt2", too_large, "would stand at 0.1% of the edges"),
        ("mcqa_qwen2.5", cut, "is missing, damaged"),
        ("mcqa_qwen2.5", without("edges_scores"), "taken for scores, and has none"),
        ("mcqa_qwen2.5", add, "it has 2 files"),
    ],
)
def test_a_damaged_cell_is_a_missing_column_with_a_reason(place, cell, damage, why):
    damage(place / cell)
    checked = check_folder(place)
    lines = [line for line in checked.missing if line.startswith(f"{cell} CPR: ")]
    assert len(lines) == 1 and why in lines[0]
    assert any(line.startswith(f"{cell} CMD: ") for line in checked.missing)
    assert "MIB's board takes 2 tasks and 2 models or more" in checked.missing[-1]


@pytest.mark.parametrize("damage", [cut, empty, without("cfg"), without("edges_scores")])
def test_what_the_evaluator_cannot_read_it_leaves_out_without_a_word(place, damage):
    assert ("mcqa", "qwen2.5", "CPR") in columns(place)
    damage(place / "mcqa_qwen2.5")
    assert {task for task, _, _ in columns(place)} == {"ioi"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes", "its name says no task"),
        ("ioi_llama2", "or no model"),
        ("mcqa_gpt2", "the board has no column of mcqa for gpt2"),
        ("arithmetic_addition_llama3", "the underscore in arithmetic_addition ends the task's"),
    ],
)
def test_a_folder_of_another_name_is_skipped(place, name, why):
    shutil.copytree(place / "ioi_gpt2", place / name)
    checked = check_folder(place)
    assert len(checked.columns) == 4
    (fault,) = checked.missing
    assert fault.startswith(f"{name} is skipped: ") and why in fault


def test_two_folders_of_one_cell_are_told(place):
    shutil.copytree(place / "ioi_gpt2", place / "eap_ioi_gpt2")
    assert "ioi_gpt2 is there twice for CPR" in check_folder(place).missing


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("https://huggingface.co/me/circuits/tree/main/submission", True),
        ("https://huggingface.co/me/circuits/tree/main/a/b", True),
        ("me/circuits", False),
        ("https://huggingface.co/me/circuits", False),
        ("https://huggingface.co/me/circuits/tree/main", False),
        ("https://huggingface.co/me/circuits/blob/main/submission", False),
    ],
)
def test_the_link_must_name_a_folder_in_a_revision(link, good):
    assert (check_link(link) is None) is good


def test_the_verb_says_all_of_it(place, tmp_path):
    shown = configured_alone("submit", check=str(place)).run()
    assert shown.faults == ()
    drop(place / "ioi_gpt2")
    assert len(configured_alone("submit", check=str(place)).run().faults) == 3
    for check, link in ((tmp_path / "none", None), (place, "me/circuits")):
        with pytest.raises(UserError, match=r"is no folder|give https://huggingface"):
            configured_alone("submit", check=str(check), link=link).run()
