"""What `ablation-bench report` writes, without a browser: parts, sizes, and that names are text."""

import base64
import gzip
import json
import re
import shutil
from dataclasses import replace
from functools import cache

import pytest
from support.made.pages import saved
from support.made.records import record
from support.paths import ROOT

from benchmark.config import configured_alone
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import RECORD, Record, Status
from benchmark.records.store import folders
from benchmark.report.claims.claim import claim, claims
from benchmark.report.claims.verdicts import Verdict
from benchmark.report.reference import REFERENCE

SCRIPT = '</script><img src=x onerror="alert(1)">{{ 7 * 7 }}'
SMALL = ComputationalGraph(2, 4)
all_claims = cache(claims)


@pytest.fixture(autouse=True)
def what_takes_long_is_made_once(monkeypatch):
    """The plotting library takes seconds to bundle, too; it is tested in the browser."""
    monkeypatch.setattr("benchmark.report.page.claims.claims", all_claims)
    monkeypatch.setattr("benchmark.report.page.writing.vega_script", lambda: "// library")


def report(results_dir, **changes):
    """The file that is written."""
    shown = configured_alone("report", results_dir=str(results_dir), **changes).run()
    place = next(part for part in shown.renderables if part.startswith("written: "))
    return results_dir.joinpath("/", place.removeprefix("written: "))


def parts(text):
    """Every part by its name, as the page reads it."""
    found = re.findall(r'arrived\(("(?:[^"\\]|\\.)*"), "([^"]*)"\);', text)
    return {
        json.loads(name): json.loads(gzip.decompress(base64.b64decode(packed)))
        for name, packed in found
    }


def with_all(results_dir):
    """Two finished records of one graph, a skipped one, and a failed one of a study."""
    scores = saved(results_dir, "one", [5, 20, 60], graph=SMALL)
    saved(results_dir, "two", [5, 20], seed=1, graph=SMALL)
    for key, kind, status in (("three", "circuits", "skipped"), ("four", "lens", "failed")):
        made = record(
            key, seed=2, status=Status(status), kind=kind, reason=f"it {status}", files={}
        )
        made.write(results_dir / key / RECORD)
    return scores


def test_every_record_has_a_part_and_a_row_with_what_became_of_it(tmp_path):
    with_all(tmp_path)
    found = parts(report(tmp_path).read_text())
    assert found.keys() == {"head", "one", "two", "three", "four"}
    rows = {row["key"]: row for row in found["head"]["records"]}
    assert {key: row["state"] for key, row in rows.items()} == {
        "one": "done", "two": "done", "three": "skipped", "four": "failed",
    }  # fmt: skip
    assert rows["four"]["note"] == "it failed" and "it failed" in found["four"]["html"]
    assert rows["one"]["graph"] == rows["two"]["graph"] and rows["three"]["graph"] is None


def test_circuits_are_those_of_the_record_with_the_scores_that_its_method_left(tmp_path):
    scores = with_all(tmp_path)
    circuits = parts(report(tmp_path).read_text())["one"]["circuits"]
    assert [one["size"] for one in circuits["circuits"]] == [5, 20, 60]
    assert circuits["sources"] == list(SMALL.sources)
    values = circuits["scores"][0]["values"]
    for (u, v), value in zip(circuits["edges"], values, strict=True):
        assert value == pytest.approx(scores[u, v], rel=1e-4)
    five = {abs(values[edge]) for edge in circuits["circuits"][0]["edges"]}
    others = {abs(value) for value in values} - five
    assert len(five) == 5 and min(five) > max(others)


def test_a_circuit_that_is_too_large_to_draw_keeps_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.report.page.circuits.MOST_EDGES", 30)
    with_all(tmp_path)
    circuits = parts(report(tmp_path).read_text())["one"]["circuits"]
    assert [one["size"] for one in circuits["circuits"]] == [5, 20, 60]
    assert circuits["circuits"][2]["edges"] is None and len(circuits["edges"]) == 20


def test_scores_and_curves_of_the_overview_are_those_of_the_records(tmp_path):
    with_all(tmp_path)
    overview = parts(report(tmp_path).read_text())["head"]["overview"]
    cell = next(cell for cell in overview["cells"] if cell["key"] == "one")
    assert cell["scores"]["cpr"] == [0.5, None, None]
    value, low, high = cell["scores"]["log_area"]
    assert low < value < high
    assert [point[0] for point in cell["curve"]] == [5, 20, 60]
    assert cell["curve"][2][1:4] == [0.1, 0.05, 0.2] and cell["curve"][2][5] == "size=60"


def test_names_of_users_are_text_and_nothing_else(tmp_path):
    made = dict(task=SCRIPT, method=SCRIPT, ablation="mean", model=SCRIPT)
    saved(tmp_path, "one", [5, 20], graph=SMALL, names=made, warnings=[SCRIPT])
    path = tmp_path / "one" / RECORD
    replace(Record.read(path), reason=SCRIPT).write(path)
    written = report(tmp_path).read_text()
    assert "<img" not in written and "alert(1)" not in written
    html = parts(written)["one"]["html"]
    assert "<img" not in html and "&lt;img" in html and "49" not in html


def test_a_report_that_is_too_large_is_a_folder_with_a_script_for_each_record(tmp_path):
    with_all(tmp_path)
    whole = parts(report(tmp_path).read_text())
    page = report(tmp_path, largest_file_mb=0.001)
    assert page.name == "index.html"
    head = parts(page.read_text())
    assert head.keys() == {"head"}
    files = head["head"]["files"]
    assert files.keys() == {"one", "two", "three", "four"}
    for key, file in files.items():
        assert parts((page.parent / file).read_text()) == {key: whole[key]}


def test_a_hundred_records_of_gpt2_with_3000_edges_are_one_file_below_5_mb(tmp_path):
    saved(tmp_path, "one", [30, 100, 300, 1000, 3000])
    written = report(tmp_path)
    record_bytes = len(re.search(r'arrived\("one", .*', written.read_text())[0])
    library = 0.92e6
    assert library + 100 * record_bytes < 5e6


def test_the_page_may_ask_no_network_and_has_no_address_of_one(tmp_path):
    with_all(tmp_path)
    text = report(tmp_path).read_text()
    assert "default-src 'none'" in text
    ours = re.sub(r"http://www\.w3\.org/2000/svg|https://vega\.github\.io/schema\S+", "", text)
    assert not re.search(r"https?://", ours)


def test_templates_and_scripts_are_all_in_the_package():
    folder = ROOT / "benchmark" / "report" / "page"
    from benchmark.report.page.templates import SCRIPTS

    assert {path.name for path in (folder / "assets").glob("*.js")} == set(SCRIPTS)


def test_claims_that_the_records_can_judge_stand_beside_them(tmp_path):
    wanted = claim("eap_ig_more_faithful")
    for folder in folders(REFERENCE):
        if folder.read().names["method"] in ("eap", "eap_ig"):
            shutil.copytree(folder.path, tmp_path / folder.key)
    found = parts(report(tmp_path).read_text())
    rows = [
        row for row in found["head"]["claims"]["rows"] if row["claim"] == "eap_ig_more_faithful"
    ]
    assert [row["model"] for row in rows] == wanted.models
    for row in rows:
        assert row["sentence"] == wanted.sentence and row["verdict"] in {
            one.value for one in Verdict
        }
        assert len(row["keys"]) == 2 * len(wanted.seeds) and {*row["keys"]} <= found.keys()
    with_all(tmp_path / "others")
    assert parts(report(tmp_path / "others").read_text())["head"]["claims"] is None
