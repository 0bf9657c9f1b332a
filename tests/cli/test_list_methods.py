"""The table of `ablation-bench methods`."""

from benchmark.cli.list_methods import methods
from benchmark.config import configured_names


def test_the_list_says_what_each_method_can_do():
    table = methods()
    columns = [list(column.cells) for column in table.columns]
    rows = {row[0]: row for row in zip(*columns, strict=True)}
    assert set(rows) == set(configured_names("method"))
    assert all(all(row) for row in rows.values())
    assert rows["exact"][2] == "circuits of edges, components"
    assert rows["acdc"][2] == "circuits of edges"
    assert rows["eap_gp"][2] == "circuits of edges, components, neurons"
    assert rows["eap_ig"][4] == "counterfactual" and rows["ugs"][4] == "all"
    assert rows["hisp"][4] == "counterfactual, zero"
    assert "method.path" in rows["imported"][4]
