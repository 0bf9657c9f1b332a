"""Reports of several kinds of records."""

import pytest
from support.made.records import record, results

from benchmark import plugins
from benchmark.errors import UserError
from benchmark.report.kinds import of_each_kind, tables_of


def test_a_kind_that_cannot_be_compared_spares_the_others():
    loaded = {"circuits": results(), "components": results()}

    def make(found):
        if found is loaded["circuits"]:
            raise UserError("cells are missing")
        return ["components"]

    assert of_each_kind(loaded, make) == (
        ["components"],
        ["nothing on circuits: cells are missing"],
    )
    with pytest.raises(UserError, match="cells are missing"):
        of_each_kind({"circuits": loaded["circuits"]}, make)


@pytest.mark.parametrize("kind", ["style", "frame", "no name"])
def test_a_kind_without_a_report_has_its_summaries(kind):
    (table,) = tables_of(results(record("a", kind=kind, summary={"depth": 2.0})))
    assert table.table.loc["eap", "depth"] == "2"


def test_a_module_that_is_no_report_is_named(monkeypatch, tmp_path):
    (tmp_path / "mine" / "report").mkdir(parents=True)
    for name in ("__init__.py", "report/__init__.py", "report/odd.py"):
        (tmp_path / "mine" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_packages", [])
    config = {"method": {"_target_": "mine.odd.Odd"}, "plugins": ["mine"]}
    with pytest.raises(UserError, match=r"mine\.report\.odd is no report: it needs"):
        tables_of(results(record("a", kind="odd", config=config)))
