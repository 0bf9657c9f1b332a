"""Reports of studies of nodes, on records with made-up truth: tables, pictures, what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.made.nodes import made_up_effects, write_arrays, write_missed_effects, write_recall
from support.made.records import seal_anew

from benchmark.errors import UserError
from benchmark.records.record import RECORD, TENSORS
from benchmark.report.figures import Figures
from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.layout.looks import look
from benchmark.report.leaderboard import Leaderboard
from benchmark.tensors import read_arrays
from methods.importance.report.missed_effects import bounds_beside_effects
from methods.importance.report.node_importance import settings_compared
from methods.importance.report.problems import problems
from methods.importance.report.ranks import cancellation, cancelled, known_ranks, ranks_compared


def loaded(folder, kind="node_importance"):
    return load_kinds(folder)[kind]


def named_tables(results):
    return {"_".join(made.words): made.table for made in tables_of(results)}


def named_figures(results):
    return {made.words: made for made in figures_of(results)}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two problems; gradients, and subsampling with two settings and two seeds."""
    folder = tmp_path_factory.mktemp("recall")
    for nodes, n_pairs in (("attention", 1), ("neurons", 3)):
        shared = dict(nodes=nodes, n_train=n_pairs)
        write_recall(folder, "atp_star", noise=0.1, passes=20, **shared)
        write_recall(folder, "atp", noise=0.1, missed=0.2, **shared)
        for draws in (16, 64):
            for seed in (0, 1):
                write_recall(
                    folder, "subsampling", noise=64 / draws, seed=seed, repeats=3, passes=draws,
                    settings=dict(draws=draws), **shared,
                )  # fmt: skip
    write_recall(folder, "blocks", noise=3, nodes="attention", settings=dict(size=2))
    return loaded(folder)


def test_problems_are_told_apart_by_what_is_asked_and_settings_are_not(compared):
    known = problems(compared, compared.done)
    assert set(known["place"]) == {"attention / 1 pair", "neurons / 3 pairs"}
    settings = {"atp_star", "atp", "subsampling draws=16", "subsampling draws=64", "blocks"}
    assert set(known["setting"]) == settings
    titles = known.set_index("place")["title"]
    assert titles["neurons / 3 pairs"].iloc[0] == (
        "ioi, toy_gpt2: neurons at each position, noising, 3 pairs"
    )


def test_a_method_enters_with_its_best_setting(compared):
    costs = settings_compared(compared)
    assert costs["best"].sum() == 7
    for _, rows in costs[costs["method"] == "subsampling"].groupby("place"):
        assert len(rows) == 2 and rows["best"].sum() == 1
        assert rows.loc[rows["best"], "relative_cost"].item() == rows["relative_cost"].min()
    for name in ("relative_cost", "relative_cost_90"):
        assert (costs[name] > 1).all()


def test_the_spread_is_that_of_all_seeds_and_repetitions(compared):
    costs = settings_compared(compared).set_index(["place", "setting"])
    one = costs.loc[("attention / 1 pair", "subsampling draws=16")]
    records = [r for r in compared.done if r.config["method"].get("draws") == 16]
    records = [r for r in records if r.config["method"]["nodes"] == "attention"]
    logs = []
    for record in records:
        rows = compared.tables[compared.tables["key"] == record.key]
        sizes = np.arange(1, rows["k"].max() + 1)
        for _, of_repeat in rows.groupby("repeat"):
            # The table keeps only some sizes; the number is over all.
            spent = compared.tensor(record.key, "spent")[of_repeat["repeat"].iloc[0]]
            order = np.argsort(-compared.tensor(record.key, "contribution"), kind="stable")
            # Beyond the last size is rounding.
            cost = np.maximum.accumulate(spent[order])[: len(sizes)]
            logs.append(np.average(np.log(cost / sizes), weights=1 / sizes))
    assert one["runs"] == 6
    assert one["relative_cost"] == pytest.approx(np.exp(np.mean(logs)))
    assert one["relative_cost_spread"] == pytest.approx(np.exp(np.std(logs)))


def test_tables_put_the_cheapest_first_and_show_what_estimates_took(compared):
    found = named_tables(compared)
    of_nodes = [f"top_nodes_ioi_toy_gpt2_{one}" for one in ("attention_1 pair", "neurons_3 pairs")]
    assert list(found) == ["recall", "recall_90", "recall_settings", *of_nodes]
    table = found["recall"]
    assert table.index.name == "method"
    assert list(table.index)[-1] == "blocks" and table.loc["blocks"].tolist()[1] == "-"
    costs = settings_compared(compared)
    best = costs[costs["best"]].groupby("method")["relative_cost"]
    means = np.log(best.apply(list).drop("blocks").tolist()).mean(1)
    order = best.apply(list).drop("blocks").index[np.argsort(means)]
    assert list(table.index)[:-1] == list(order)
    assert "[" not in table.loc["atp_star"].iloc[0] and "[" in table.loc["subsampling"].iloc[0]
    settings = found["recall_settings"]
    assert settings.index.tolist().count("subsampling draws=64") == 2
    assert settings.loc["atp_star", "estimation passes"].tolist() == ["20", "20"]
    assert (settings["best"] == "best").sum() == 7


def test_lines_are_geometric_means_above_the_oracle(compared):
    figure = named_figures(compared)[("recall", "ioi", "toy_gpt2", "attention", "1 pair")]
    whole, most = figure.figure.axes
    lines = {line.get_label().split(" ")[0]: line for line in whole.lines}
    assert list(lines) == ["atp", "atp_star", "subsampling", "blocks", "oracle"]
    k = lines["oracle"].get_xdata()
    assert (lines["oracle"].get_ydata() == k).all()
    for name in ("atp", "subsampling"):
        rows = figure.data[figure.data["method"] == name]
        mean = np.exp(np.log(rows["cost_100"]).groupby(rows["k"]).mean())
        assert lines[name].get_ydata() == pytest.approx(mean.to_numpy())
        assert (lines[name].get_ydata() >= k).all()
        assert lines[name].get_color() == look(name).colour
    assert len(whole.collections) == 1, "a band for what was repeated, and for nothing else"
    assert most.get_ylabel().startswith("forward passes until 90 %")


def test_bars_rise_from_one_to_the_relative_cost(compared):
    figure = named_figures(compared)[("recall", "relative")]
    tops = {round(bar.get_y() + bar.get_height(), 6) for bar in figure.figure.axes[0].patches}
    assert tops == set(figure.data["relative_cost"].round(6))
    assert figure.figure.axes[0].get_ylim()[0] == 1


def test_ranks_count_who_is_above(compared):
    key = next(r.key for r in compared.done if r.names["method"] == "atp")
    ranks = known_ranks(compared, key)
    contribution, estimate = (compared.tensor(key, name) for name in ("contribution", "estimate"))
    for node, row in ranks.iterrows():
        assert row["true_rank"] == 1 + (contribution > contribution[node]).sum()
        assert row["estimated_rank"] == 1 + (estimate > estimate[node]).sum()
        assert row["node"] == f"a{node // 16}.h{node % 16}<{'qkvz'[node % 4]}>@{node % 7}"
    assert set(ranks["site"]) == {"query", "key", "value", "output"}
    assert ranks["contribution"].is_monotonic_decreasing


def test_nodes_without_an_effect_have_no_place_among_ranks(tmp_path):
    record = write_recall(tmp_path, "atp", noise=0)
    path = tmp_path / record.key / TENSORS
    scores = read_arrays(path)[0]
    contribution = scores["contribution"]
    few = np.argsort(-contribution)[:5]
    silent = np.full(len(contribution), 1e-7 * contribution.max())
    silent[few] = contribution[few]
    write_arrays(path, scores | {"contribution": silent})
    seal_anew(path.parent)
    ranks = known_ranks(loaded(tmp_path), record.key)
    assert ranks.index.tolist() == few.tolist()
    assert ranks["true_rank"].tolist() == [1, 2, 3, 4, 5]


def test_a_node_ranked_ten_times_too_late_is_marked():
    ranks = pd.DataFrame(dict(true_rank=[1, 2, 3, 40], estimated_rank=[10, 19, 40, 1]))
    ranks = ranks.assign(site="key", node=["one", "two", "three", "forty"])
    better = ranks.assign(estimated_rank=ranks["true_rank"])
    first, second = ranks_compared({"atp": ranks, "atp_star": better}, "title").axes
    marked = [line for line in first.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in marked] == [(10, 40, 1, 3)]
    assert first.get_title() == "atp: 2 too late\nworst: three, one"
    assert second.get_title() == "atp_star: 0 too late"


def test_cancellation_by_hand():
    effects = np.array([[1.0, 2.0, 0.0, -3.0], [1.0, -1.0, 0.0, 3.0]])
    size, share = cancelled(effects)
    assert size.tolist() == [2, 3, 6]
    assert share.tolist() == pytest.approx([0, 2 / 3, 1])
    _, bars = cancellation(effects, "title")
    assert bars["all nodes"].iloc[[0, 13, 19]].tolist() == pytest.approx([100 / 3] * 3)
    assert bars["the tenth that matter most"].iloc[-1] == 100


@pytest.mark.slow
def test_cancellation_needs_more_than_one_pair(compared):
    kinds = {words[0]: words for words in named_figures(compared)}
    assert set(kinds) == {"recall", "ranks", "cancellation"}
    assert kinds["cancellation"][-1] == "3 pairs"
    assert sum(words[0] == "cancellation" for words in named_figures(compared)) == 1


def test_estimates_that_were_not_judged_have_no_place(tmp_path):
    for seed in (0, 3):
        write_recall(tmp_path, "atp", noise=1, settings=dict(judge=False), seed=seed)
    (table,) = named_tables(loaded(tmp_path)).values()
    assert list(table) == ["estimate"] and len(table) == 10
    assert named_figures(loaded(tmp_path)) == {}
    write_recall(tmp_path, "atp", noise=1, settings=dict(judge=True), seed=1)
    write_recall(tmp_path, "atp_star", noise=1, seed=1)
    found = named_tables(loaded(tmp_path))
    assert set(found["recall_settings"].index) == {"atp", "atp_star"}
    assert not any(name.startswith("top_estimates") for name in found)
    assert len(named_figures(loaded(tmp_path))) == 3


def test_estimates_that_nobody_judged_are_named_for_each_setting(tmp_path):
    alone = dict(judge=False)
    for seed in (4, 2):
        write_recall(tmp_path, "subsampling", noise=1, seed=seed, settings=alone | dict(draws=16))
    write_recall(tmp_path, "subsampling", noise=1, settings=alone | dict(draws=64))
    write_recall(tmp_path, "atp", noise=1, seed=2)
    results = loaded(tmp_path)
    made = {"_".join(one.words): one for one in tables_of(results)}
    names = [f"top_estimates_ioi_toy_gpt2_attention_subsampling draws={n}" for n in (16, 64)]
    assert set(names) == {name for name in made if name.startswith("top_estimates")}
    shown = made[names[0]]
    assert "seed 2" in shown.title and "subsampling draws=16, which nobody judged" in shown.title
    record = next(
        r for r in results.done if r.config["seed"] == 2 and r.config["method"].get("draws") == 16
    )
    estimate = results.tensor(record.key, "estimate")
    best = estimate.argmax()
    assert shown.table.index[0] == f"a{best // 16}.h{best % 16}<{'qkvz'[best % 4]}>@{best % 7}"
    assert float(shown.table["estimate"].iloc[0]) == pytest.approx(estimate.max(), rel=0.005)


def test_the_top_nodes_stand_beside_when_each_method_verifies_them(compared):
    made = {"_".join(one.words): one for one in tables_of(compared)}
    shown = made["top_nodes_ioi_toy_gpt2_attention_1 pair"]
    assert list(shown.table) == ["contribution", "atp", "atp_star", "subsampling", "blocks"]
    assert "attention nodes at each position, noising, 1 pair, seed 0" in shown.title
    key = next(
        r.key
        for r in compared.done
        if r.names["method"] == "blocks" and r.config["method"]["nodes"] == "attention"
    )
    contribution, spent = (compared.tensor(key, name) for name in ("contribution", "spent"))
    best = np.argsort(-contribution)[:10]
    names = [f"a{node // 16}.h{node % 16}<{'qkvz'[node % 4]}>@{node % 7}" for node in best]
    assert shown.table.index.tolist() == names
    turns = [str((spent[0] <= spent[0][node]).sum()) for node in best]
    assert shown.table["blocks"].tolist() == turns


def test_positions_that_stand_for_all_are_not_named(tmp_path):
    record = write_recall(tmp_path, "atp", noise=0)
    path = tmp_path / record.key / TENSORS
    scores = read_arrays(path)[0]
    write_arrays(path, scores | {"position": np.zeros_like(scores["position"])})
    seal_anew(path.parent)
    names = named_tables(loaded(tmp_path))["top_nodes_ioi_toy_gpt2_attention"].index
    assert not any("@" in name for name in names)


def test_bars_of_a_group_leave_no_gap(compared):
    figure = named_figures(compared)[("recall", "relative")]
    middles = sorted(bar.get_x() + bar.get_width() / 2 for bar in figure.figure.axes[0].patches)
    gaps = np.diff(middles)
    width = figure.figure.axes[0].patches[0].get_width()
    assert gaps[:3] == pytest.approx([width] * 3) and gaps[4:] == pytest.approx([width] * 2)
    assert np.mean(middles[:4]) == pytest.approx(0) and np.mean(middles[4:]) == pytest.approx(1)


def test_another_price_of_passes_is_another_problem(tmp_path):
    for price in (1.0, 2.0):
        write_recall(tmp_path, "atp", noise=1, settings=dict(backward_price=price))
    table = named_tables(loaded(tmp_path))["recall"]
    assert list(table.columns) == ["backward_price=1.0", "backward_price=2.0"]
    assert list(table.index) == ["atp"]


def rewrite(folder, record, **changes):
    replace(record, **changes).write(folder / record.key / RECORD)


def test_two_records_of_one_cell_are_refused(tmp_path):
    one = write_recall(tmp_path, "atp", noise=1)
    other = replace(one, key="again")
    (tmp_path / one.key).rename(tmp_path / "again")
    other.write(tmp_path / "again" / RECORD)
    write_recall(tmp_path, "atp", noise=1)
    with pytest.raises(UserError, match="of one method, problem and seed"):
        tables_of(loaded(tmp_path))


@pytest.mark.parametrize("changes", [{"data": {"train": "f" * 64}}, {"model": {"files": "other"}}])
def test_methods_that_saw_different_prompts_are_refused(tmp_path, changes):
    write_recall(tmp_path, "atp", noise=1)
    rewrite(tmp_path, write_recall(tmp_path, "atp_star", noise=1), **changes)
    with pytest.raises(UserError, match="ioi, seed 0, saw different prompts or model files"):
        figures_of(loaded(tmp_path))


def test_bounds_stand_beside_what_is_missed(tmp_path):
    write_missed_effects(tmp_path, repeats=2)
    write_missed_effects(tmp_path, known=False, task="docstring")
    results = loaded(tmp_path, "missed_effects")
    (table,) = named_tables(results).values()
    known, unknown = table[table["problem"] == "ioi"], table[table["problem"] == "docstring"]
    assert known["draws"].item() == "64" and "seed" not in table
    assert known["99.9 %"].item().endswith("(holds 2 of 2)")
    assert "holds" not in unknown["90 %"].item()
    assert unknown["largest missed effect"].item() == "-"
    shown = named_figures(results)
    beside, alone = (
        shown["missed", task, "toy_gpt2", "attention", "missed_effects", "seed0"].figure.axes
        for task in ("ioi", "docstring")
    )
    assert len(beside) == 2 and len(alone) == 1
    assert beside[0].get_ylim() == beside[1].get_ylim()


def test_a_broken_bound_is_called_so(tmp_path):
    record = write_missed_effects(tmp_path)
    path = tmp_path / record.key / "table.parquet"
    rows = pd.read_parquet(path)
    missed = rows["bound_99"].iloc[-1]
    rows.assign(largest_missed=missed).to_parquet(path)
    seal_anew(path.parent)
    (table,) = named_tables(loaded(tmp_path, "missed_effects")).values()
    ends = [table[name].item().split(" ")[1] for name in ("90 %", "99 %", "99.9 %")]
    assert ends == ["(broken)", "(holds)", "(holds)"]


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_bounds_that_are_still_open_are_drawn_all_the_same(known):
    rows = pd.DataFrame(dict(draws=[2, 4], largest_missed=np.nan))
    rows = rows.assign(**dict.fromkeys(("bound_90", "bound_99", "bound_999"), np.inf))
    effects = made_up_effects(20, 1)[0].abs().sort(descending=True).values
    nodes = pd.DataFrame(dict(contribution=effects, verified=effects > 1, rank=range(1, 21)))
    figure = bounds_beside_effects(rows, nodes if known else None, "title")
    figure.draw_without_rendering()
    if known:
        low, high = figure.axes[0].get_ylim()
        assert low <= effects.min() and high >= effects.max()


def test_bounds_are_drawn_from_where_most_repetitions_have_one():
    rows = pd.DataFrame(dict(repeat=[0, 1, 2] * 3, draws=[2] * 3 + [4] * 3 + [8] * 3))
    bounds = [np.inf, np.inf, 9, np.inf, 8, 7, 5, 4, 3]
    names = ("bound_90", "bound_99", "bound_999")
    rows = rows.assign(largest_missed=2, **dict.fromkeys(names, bounds))
    (axes,) = bounds_beside_effects(rows, None, "title").axes
    drawn = [line for line in axes.lines if line.get_label().startswith("bound")]
    for line in drawn:
        assert np.isnan(line.get_ydata()[0]) and line.get_ydata()[1:].tolist() == [8, 4]
    (shade,) = axes.patches
    assert shade.get_label() == "too few draws for a bound" and shade.get_x() == 2


@pytest.mark.slow
def test_the_command_line_writes_tables_and_pictures_of_both(tmp_path):
    folder, out = tmp_path / "results", tmp_path / "out"
    for n_pairs in (2, 3):
        write_recall(folder, "atp", noise=1, n_train=n_pairs)
    write_missed_effects(folder)
    Leaderboard(
        str(folder), None, None, None, "cmd", 0.1, None, False, False, None, False, str(out)
    ).run()
    Figures(str(folder), None, "cmd", 0.1, False, False, None, False, str(out)).run()
    stems = {path.stem for path in out.iterdir()}
    assert {"recall", "recall_90", "recall_settings", "missed_effects", "recall_relative"} < stems
    kinds = {"recall", "missed", "ranks", "cancellation", "top"}
    assert {stem.split("_")[0] for stem in stems} == kinds
    assert all(" " not in stem for stem in stems)
