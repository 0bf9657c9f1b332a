"""Single components in tables and pictures: numbers by hand, what is refused, what is published."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from support.made.records import of_gpt2, record, results

from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.files import file_stem
from benchmark.records.record import TENSORS
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.protocol import Asked
from benchmark.report.published.numbers import COMPONENT_PROVENANCE, published_components
from benchmark.tensors import write_tensors
from methods.importance.report.components.joined import joined
from methods.importance.report.components.measures import measure
from methods.importance.report.components.statistics import (
    bound_table,
    bounds,
    log_correlation,
    rank_correlation,
    ratios,
    summary_table,
    top_table,
)

NAMES = ["input", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"]
KINDS = ["input", "head", "head", "mlp", "head", "head", "mlp"]
# In the order of tables and pictures.
SHIPPED = (
    "zero", "mean", "mean_positional", "resample", "resample_positional", "counterfactual_mean",
    "gaussian", "optimal", "optimal_positional", "counterfactual",
)  # fmt: skip
N_PROMPTS = 12


def one(ablation, *, seed=0, key=None, **changes):
    """A record of one ablation."""
    made = record(f"{ablation}{seed}", "component_ablation", seed=seed, kind="components")
    settings = {"_target_": f"x.{ablation}", "keep_first": changes.pop("keep_first", True)}
    traits = asdict(configured("ablation", ablation).traits)
    method = {
        "_target_": "methods.importance.component_ablation.ComponentAblation",
        "paper_compat": changes.pop("paper_compat", False),
    }
    config = made.config | {"ablation": settings, "method": method} | changes.pop("config", {})
    names = made.names | {"ablation": ablation}
    known = dict(key=key or made.key, names=names, config=config, traits=traits)
    return replace(made, **(known | changes))


def found(place, *records, gaps=None):
    """The results of records, with what each left in a folder of its own."""
    made = results(*records)
    rows, lies = [], {}
    for number, r in enumerate(records):
        draw = np.random.default_rng(number)
        own = (gaps or {}).get(r.key)
        if own is None:
            own = draw.lognormal(size=(len(NAMES), N_PROMPTS))
        lies[r.key] = place / r.key
        lies[r.key].mkdir(exist_ok=True)
        gap = torch.from_numpy(np.asarray(own, dtype=np.float32))
        write_tensors(lies[r.key] / TENSORS, {"loss_gap": gap}, {})
        layer = pd.array([None, 0, 0, 0, 1, 1, 1], dtype="Int64")
        table = pd.DataFrame(dict(component=NAMES, kind=KINDS, layer=layer))
        rows.append(table.assign(key=r.key))
    return replace(made, tables=pd.concat(rows, ignore_index=True), paths=lies)


def flat(*means):
    """The same gap on every prompt."""
    return np.repeat(np.array(means)[:, None], N_PROMPTS, axis=1)


def test_correlations_and_ratios_are_those_by_hand(tmp_path):
    gaps = {
        "zero0": flat(9, 1, 2, 3, 4, 5, 6),
        "optimal_positional0": flat(9, 0.5, 0.5, 4, 1, 1, 1),
        "counterfactual0": flat(9, 2, 1, 3, 4, 5, 6),
    }
    records = [one(name) for name in ("counterfactual", "optimal_positional", "zero")]
    (both,) = joined(found(tmp_path, *records, gaps=gaps))
    table = summary_table(both)
    assert list(table.index) == ["zero", "optimal_positional", "counterfactual"]
    # Two of six ranks are swapped: 1 - 6 (1 + 1) / (6 (36 - 1)).
    assert table.loc["zero", "rank correlation"] == f"{1 - 12 / 210:.3f}"
    # Shares 0.5, 0.25, 4/3 -> 1, 0.25, 0.2 and 1/6; the counterfactual's is not clamped.
    shares = [1 / 2, 1 / 4, 1, 1 / 4, 1 / 5, 1 / 6]
    assert table.loc["zero", "median ratio"] == "25.0 %"
    assert table.loc["zero", "mean ratio"] == f"{100 * np.mean(shares):.1f} %"
    loose = [1 / 4, 1 / 2, 4 / 3, 1 / 4, 1 / 5, 1 / 6]
    assert table.loc["counterfactual", "mean ratio"] == f"{100 * np.mean(loose):.1f} %"
    assert table.loc["zero", "mean gap"] == "3.5000 [3.5000, 3.5000]"
    assert table.loc["zero", "median gap"] == "3.50000"
    assert top_table(both)["zero"].tolist()[:2] == ["input 9.000", "m1 6.000"]
    assert list(top_table(both).index) == list(range(1, 8))


def test_correlations_are_the_usual_ones_with_tails_cut():
    draw = np.random.default_rng(0)
    x = draw.lognormal(size=200)
    y = x * draw.lognormal(size=200)
    x[:5] = y[:5] = 1.0
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    inside = np.ones(200, dtype=bool)
    for values in (x, y):
        low, high = np.percentile(np.log10(values), (2, 98))
        inside &= (np.log10(values) >= low) & (np.log10(values) <= high)
    assert 184 < inside.sum() < 200
    expected = pearsonr(np.log(x[inside]), np.log(y[inside])).statistic
    assert log_correlation(x, y) == pytest.approx(expected)
    assert np.isnan(rank_correlation(x, np.ones(200)))
    assert ratios(np.zeros(2), np.array([0.0, 1.0]), clamped=True).tolist() == [1.0, 1e-6]


def test_what_is_unknown_is_a_dash(tmp_path):
    (alone,) = joined(found(tmp_path, one("zero")))
    row = summary_table(alone).loc["zero"]
    assert set(row[["rank correlation", "log correlation", "median ratio", "mean ratio"]]) == {"-"}
    assert bounds(alone) == [] and bound_table(alone).empty


def test_constants_bound_the_ablations_that_are_mixtures_of_them(tmp_path):
    (every,) = joined(found(tmp_path, *map(one, reversed(SHIPPED))))
    assert list(every.gaps) == list(SHIPPED)
    bounded = {best: {other for by, other in bounds(every) if by == best} for best in every.gaps}
    assert bounded["optimal"] == {"zero", "mean"}
    assert bounded["optimal_positional"] == {
        "zero", "mean", "mean_positional", "resample", "resample_positional",
        "counterfactual_mean", "optimal",
    }  # fmt: skip
    assert every.optimal == "optimal_positional"


def test_an_ablation_of_ones_own_is_bounded_by_what_it_says_of_itself(tmp_path):
    own = {"total": True, "by_position": True, "trained": False}
    records = one("zero", traits=own), one("optimal"), one("optimal_positional")
    (both,) = joined(found(tmp_path, *records))
    assert bounds(both) == [("optimal_positional", "zero"), ("optimal_positional", "optimal")]
    (best,) = joined(found(tmp_path, one("zero", traits=own | {"trained": True})))
    assert best.optimal == "zero" and bounds(best) == []


def test_a_violation_is_beyond_the_interval_of_the_paired_difference(tmp_path):
    draw = np.random.default_rng(3)
    zero = draw.lognormal(sigma=2.0, size=(len(NAMES), N_PROMPTS))
    # Always 0.1 more for one component: far less than gaps vary, yet beyond doubt.
    more = zero - 0.05
    more[3] = zero[3] + 0.1
    # Sometimes more and sometimes less for another: no violation.
    more[5] = zero[5] + np.where(np.arange(N_PROMPTS) % 2, 0.5, -0.5)
    gaps = {"zero0": zero, "optimal0": more}
    (both,) = joined(found(tmp_path, one("zero"), one("optimal"), gaps=gaps))
    (row,) = bound_table(both).reset_index().to_dict("records")
    assert row["ablation"] == "zero" and row["bounded by"] == "optimal"
    assert row["violations"] == "1 of 7" and row["of component"] == "m0"
    assert row["worst excess"] == "0.10000 [0.10000, 0.10000]"


def test_seeds_are_averaged(tmp_path):
    records = [one(name, seed=seed) for name in ("zero", "optimal") for seed in (0, 1)]
    gaps = {"zero0": flat(*range(7)), "zero1": flat(*range(2, 9))}
    (both,) = joined(found(tmp_path, *records, gaps=gaps))
    assert both.n_seeds == 2 and "24 prompts, 2 seeds" in both.words
    assert both.means["zero"].tolist() == pytest.approx([1 + n for n in range(7)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(data={"train": "other", "test": "test 0"}), "different prompts"),
        (dict(paper_compat=True), "different paper_compat"),
        (dict(keep_first=False), "different keep_first"),
        (dict(model={"files": "other"}), "different model files"),
        (dict(versions={"task": 1, "method": 2}), "different versions of task and method"),
        (dict(seed=1), "ablation=zero seed=1 .* is missing"),
    ],
)
def test_what_was_run_differently_is_not_joined(tmp_path, changes, message):
    mixed = found(tmp_path, one("zero"), one("optimal", **changes))
    with pytest.raises(UserError, match=message) as refused:
        joined(mixed)
    assert "choose one experiment_name" in str(refused.value)


def test_one_ablation_twice_is_not_joined(tmp_path):
    with pytest.raises(UserError, match=r"zero0 and again .* are of one ablation and seed"):
        joined(found(tmp_path, one("zero"), one("zero", key="again")))


def test_reports_have_tables_and_pictures_for_each_task_and_model(tmp_path):
    records = [one(name) for name in ("zero", "optimal_positional", "counterfactual")]
    other = one("zero", key="elsewhere")
    other = replace(other, names=other.names | {"task": "own data/x"})
    made = found(tmp_path, *records, other)
    tables = {file_stem(*table.words): table for table in tables_of(made)}
    assert set(tables) == {
        "components_ioi_toy", "components_top_ioi_toy", "components_bound_ioi_toy",
        "components_own-data-x_toy", "components_top_own-data-x_toy",
    }  # fmt: skip
    assert "the gap under optimal_positional" in tables["components_ioi_toy"].title
    figures = {figure.words: figure for figure in figures_of(made)}
    assert set(figures) == {
        ("components", "ioi", "toy"), ("components", "correlations", "ioi", "toy"),
        ("components", "own data/x", "toy"),
    }  # fmt: skip
    grid = figures["components", "correlations", "ioi", "toy"]
    assert len(grid.figure.axes) == 9
    assert list(grid.data) == ["component", "kind", "layer", *tables["components_ioi_toy"].table.T]
    (axes,) = figures["components", "ioi", "toy"].figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(
        grid.data.nlargest(15, "optimal_positional")["component"]
    )


def test_published_numbers_stand_apart_with_where_they_were_read(tmp_path):
    made = found(tmp_path, *(of_gpt2(one(name)) for name in ("zero", "counterfactual")))
    ours, with_theirs = (tables_of(made, Asked(published=shown)) for shown in (False, True))
    shared = zip(ours, with_theirs, strict=False)
    assert all(a.table.equals(b.table) for a, b in shared)
    theirs = with_theirs[len(ours) :]
    assert all(table.title.startswith("published: Li & Janson 2024") for table in theirs)
    by_name = {file_stem(*table.words): table for table in theirs}
    paper = by_name["published_components_ioi_tables-1-and-2"]
    assert "(paper, as others quote it)" in paper.title and "paper_compat" in paper.title
    assert paper.table.loc["rank correlation with counterfactual", "optimal_positional"] == "0.907"
    assert paper.table.loc["median ratio of optimal_positional", "zero"] == "11.1 %"
    history = by_name["published_components_ioi_result-files"]
    assert "history of the authors' repository" in history.title
    assert history.table.loc["gap of m0", "counterfactual"] == "3.23"
    assert not any("greater_than" in name for name in by_name)
    cells = sum(int((table.table != "-").to_numpy().sum()) for table in theirs)
    assert cells == (published_components()["task"] == "ioi").sum()


def test_published_numbers_stand_beside_their_own_model_alone(tmp_path):
    shown = tables_of(found(tmp_path, one("zero", family="ioi")), Asked(published=True))
    assert not any(table.title.startswith("published") for table in shown)


def test_published_numbers_of_components_are_sound():
    rows = published_components()
    assert len(rows) == 104 and not rows.drop(columns="value").duplicated().any()
    assert set(rows["provenance"]) == set(COMPONENT_PROVENANCE)
    assert set(rows["ablation"]) | set(rows["other"]) - {""} <= set(configured_names("ablation"))
    assert set(rows["task"]) <= set(configured_names("task"))
    shares = rows["metric"].isin(["rank_correlation", "log_correlation", "median_ratio"])
    assert rows.loc[shares, "value"].between(0, 1).all()
    assert (rows["component"] != "").equals(rows["metric"] == "loss_gap")
    assert rows["component"].str.fullmatch(r"|m\d+|a\d+\.h\d+").all()


def test_measures_are_the_tables_numbers_with_paired_resamples(tmp_path):
    records = [one(name) for name in ("zero", "optimal_positional", "counterfactual")]
    gaps = {"zero0": flat(9, 4, 2, 1, 8, 16, 32), "optimal_positional0": flat(9, 1, 1, 2, 2, 8, 8)}
    made = found(tmp_path, *records, gaps=gaps)
    zero, optimal = records[:2]
    ratio = measure(made, [zero], "median_ratio")["zero0"]
    # Of 1/4, 1/2, 1 (2/1 counts as 1), 1/4, 1/2 and 1/4, whatever prompts are drawn.
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.375, 0.375, 0.375))
    violations = measure(made, [zero], "bound_violations")["zero0"]
    assert (violations.value, violations.high) == pytest.approx((1 / 7, 1 / 7))
    (table,) = joined(made)
    for record_, name in ((zero, "zero"), (optimal, "optimal_positional")):
        value = measure(made, [record_], "rank_correlation")[record_.key].value
        means = table.means_of_nodes
        assert value == rank_correlation(means["counterfactual"].to_numpy(), means[name].to_numpy())
    alone = found(tmp_path, zero)
    with pytest.raises(UserError, match="ablation=counterfactual of ioi on toy is missing"):
        measure(alone, [zero], "rank_correlation")
