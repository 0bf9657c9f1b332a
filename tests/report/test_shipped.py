"""The tables of the README are what the records that ship give, and these are whole and small."""

import re
import shutil
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf
from support.paths import ROOT

from benchmark.config import configured_alone
from benchmark.records.record import Status
from benchmark.records.store import folders
from benchmark.report.claims.claim import claim
from benchmark.report.claims.tables import table_of
from benchmark.report.claims.verdicts import rows_of
from benchmark.report.frame import load_kinds
from benchmark.report.reference import REFERENCE

HEAD = (
    "| claim | model | against | measured | rule | verdict |\n| " + " | ".join(["---"] * 6) + " |\n"
)
MOST_BYTES = 15e6


BOARD = re.compile(
    r"ablation-bench leaderboard with=reference ([^#\n]*?) *#.*?```\n.*?\n(\| method .*?)\n\n", re.S
)


def rows_of_table(table: str) -> list[list[str]]:
    return [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines()]


def shown_in_the_readme() -> list[list[str]]:
    return rows_of_table((ROOT / "README.md").read_text().partition(HEAD)[2].partition("\n\n")[0])


def test_the_table_of_the_readme_is_what_the_records_give():
    loaded = load_kinds(REFERENCE)
    shown = shown_in_the_readme()
    assert len(shown) > 4
    for name in {row[0] for row in shown}:
        table = table_of(list(rows_of(name, claim(name), loaded))).table
        known = [[str(key), *cells] for key, cells in zip(table.index, table.values, strict=True)]
        for row in shown:
            assert row[0] != name or row in known


def test_the_boards_of_the_readme_are_what_their_commands_give(tmp_path):
    boards = BOARD.findall((ROOT / "README.md").read_text())
    assert boards
    for typed, table in boards:
        settings: dict[str, Any] = dict(OmegaConf.from_dotlist(typed.split()))  # pyright: ignore
        board = configured_alone(
            "leaderboard", reference=True, results_dir=str(tmp_path / "none"),
            directory=str(tmp_path / "made"), **settings,
        )  # fmt: skip
        board.run()
        (made,) = (tmp_path / "made").glob("leaderboard*.csv")
        known = pd.read_csv(made, index_col=0, dtype=str)
        (_, *columns), _, *rows = rows_of_table(table)
        assert len(rows) > 1
        for method, *cells in rows:
            assert cells == known.loc[method, columns].tolist()
        shutil.rmtree(tmp_path / "made")


def test_records_that_ship_are_whole_small_and_say_nothing_of_a_machine():
    for folder in folders(REFERENCE):
        record = folder.read()
        assert record.status is Status.done
        assert not record.model.get("source", "").startswith("/")
        assert "host" not in record.machine
        assert {path.name for path in folder.path.iterdir()} == {"record.json", *record.files}
    files = (path for path in REFERENCE.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_the_verb_writes_the_table_of_the_claims_that_are_asked_for(tmp_path):
    verb = configured_alone("claims", only=["eap_two_forward_passes"], directory=str(tmp_path))
    said = [part for part in verb.run().renderables if isinstance(part, str)]
    assert said[0].startswith("holds: 3, does not hold: 0, cannot tell: 1 (of 4 rows")
    assert {path.name for path in tmp_path.iterdir()} == {"claims.md", "claims.csv", "claims.tex"}
    text = (tmp_path / "claims.md").read_text()
    assert "Syed et al. 2023, arXiv 2310.10348, section 2" in text
    assert "EAP takes two forward passes" in text


@pytest.mark.slow
def test_a_record_that_ships_comes_out_again(tmp_path):
    from benchmark.run.verify import verify_record

    cheap = [
        folder.key for folder in folders(REFERENCE)
        if folder.read().names["method"] == "eap" and folder.read().config["seed"] == 0
    ]  # fmt: skip
    assert len(cheap) >= 2
    for key in cheap[:2]:
        agrees, _ = verify_record(REFERENCE, key)
        assert agrees
