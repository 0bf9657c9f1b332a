"""Verdicts in a made-up world, in which each of them is known."""

from dataclasses import replace

import numpy as np
import pytest
from support.made.records import record, results

from benchmark.config import configured
from benchmark.report.claims.claim import Effect
from benchmark.report.claims.effects import compared, over_seeds
from benchmark.report.claims.tables import table_of
from benchmark.report.claims.verb import commands
from benchmark.report.claims.verdicts import Verdict, judged, rows_of
from benchmark.report.measured import Measured

ABLATION, COST = "counterfactual", {"forward": 0.0, "backward": 0.0, "seconds": 1.0}


def a_claim(**changes):
    """That EAP has a lower CMD than random circuits."""
    settings = dict(
        quantity="cmd", claimed=f"eap under {ABLATION}", rivals=[f"random under {ABLATION}"],
        models=["tiny_gpt2"], seeds=[0, 1, 2], run="experiment=claims method=eap,random",
    )  # fmt: skip
    return configured("claims", "ugs_below_rivals", **(settings | changes))


def made(method, *values, model="tiny_gpt2", **changes):
    """A record with this CMD for each seed."""
    return [
        record(
            f"{model}-{method}-{seed}", method, seed=seed, areas={ABLATION: {"cmd": value}},
            names=dict(task="ioi", method=method, ablation=ABLATION, model=model),
            cost={"method": COST}, **changes,
        )
        for seed, value in enumerate(values)
    ]  # fmt: skip


def rows(claim, *records):
    return list(rows_of("one", claim, {"circuits": results(*records)} if records else {}))


def only(claim, *records):
    (row,) = rows(claim, *records)
    return row


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ((0.1, 0.1, 0.1), Verdict.holds),
        ((0.9, 0.9, 0.9), Verdict.fails),
        ((0.1, 0.9, 0.5), Verdict.unknown),
    ],
)
def test_the_side_of_the_interval_decides(own, verdict):
    rival = made("random", 0.50, 0.51, 0.52)
    below = only(a_claim(), *made("eap", *own), *rival)
    assert below.verdict is verdict
    other = {Verdict.holds: Verdict.fails, Verdict.fails: Verdict.holds}
    above = only(a_claim(side="above"), *made("eap", *own), *rival)
    assert above.verdict is other.get(verdict, verdict)
    assert ("inside" in below.why) == (verdict is Verdict.unknown)


def test_seeds_are_paired_before_they_are_averaged():
    """Seeds that differ much, and alike under both methods, leave no doubt."""
    row = only(a_claim(), *made("eap", 0.1, 0.5, 0.9), *made("random", 0.2, 0.6, 1.0))
    assert row.verdict is Verdict.holds
    assert row.effect.value == pytest.approx(-0.1)


def test_missing_cells_are_named_with_the_command_that_makes_them():
    row = only(a_claim(), *made("eap", 0.1, 0.1))
    assert row.verdict is Verdict.unknown
    assert "eap under counterfactual, seed 2; random under counterfactual, seed 0, 1, 2" in row.why
    assert "ablation-bench run experiment=claims method=eap,random model=tiny_gpt2" in row.why
    cheap = replace(row, claim=replace(row.claim, run="experiment=smoke", minutes=1.0))
    command = "missing; run: ablation-bench run"
    assert commands([row, replace(row, model="other"), cheap]) == [
        f"{command} experiment=smoke model=tiny_gpt2",
        f"{command} experiment=claims method=eap,random model=tiny_gpt2,other",
    ]
    assert only(a_claim()).verdict is Verdict.unknown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(versions={"task": 1, "method": 2, "ablation-bench": "1"}), "versions of the method"),
        (dict(versions={"task": 1, "method": 1, "ablation-bench": "2"}), "of ablation-bench"),
        (dict(versions={"task": 2, "method": 1, "ablation-bench": "1"}), "task versions"),
        (dict(data={"train": "a", "test": "b"}), "prompts"),
        (dict(model={"files": "others"}), "model files"),
    ],
)
def test_records_that_differ_in_what_they_must_share_decide_nothing(change, message):
    own, rival = made("eap", 0.1, 0.1, 0.1), made("random", 0.5, 0.5, 0.5)
    mixed = [*own[:2], replace(own[2], **change), *rival]
    row = only(a_claim(), *mixed)
    assert row.verdict is Verdict.unknown
    assert message in row.why and "run them alike" in row.why
    assert not row.missing


def test_two_records_of_one_cell_and_seed_decide_nothing():
    own = made("eap", 0.1, 0.1, 0.1)
    twin = replace(own[0], key="twin", config=own[0].config | {"sizes": [0.5]})
    row = only(a_claim(), *own, twin, *made("random", 0.5, 0.5, 0.5))
    assert row.verdict is Verdict.unknown and "are of one cell and seed" in row.why


def test_each_model_and_rival_has_a_row_of_its_own_and_other_models_too():
    claim = a_claim(rivals=[f"random under {ABLATION}", f"acdc under {ABLATION}"])
    good = [*made("eap", 0.1, 0.1, 0.1), *made("random", 0.5, 0.5, 0.5)]
    bad = [
        *made("eap", 0.9, 0.9, 0.9, model="gpt2"), *made("random", 0.5, 0.5, 0.5, model="gpt2"),
        *made("eap", 0.9, 0.9, 0.9, model="small_gpt2"),
        *made("eap", *[float("nan")] * 3, model="toy_gpt2"),
        *made("random", *[float("nan")] * 3, model="toy_gpt2"),
    ]  # fmt: skip
    found = rows(claim, *good, *bad)
    assert [(row.model, row.rival.method, row.verdict) for row in found] == [
        ("tiny_gpt2", "random", Verdict.holds), ("tiny_gpt2", "acdc", Verdict.unknown),
        ("gpt2", "random", Verdict.fails),
    ]  # fmt: skip
    table = table_of(found)
    assert table.note.startswith("holds: 1, does not hold: 1, cannot tell: 1 (of 3 rows")
    assert list(table.table["verdict"]) == [row.verdict.value for row in found]
    assert "tiny_gpt2-eap-0" in table.data["records"].iloc[0]


def test_what_records_do_not_know_decides_nothing():
    row = only(a_claim(), *made("eap", *[float("nan")] * 3), *made("random", 0.5, 0.5, 0.5))
    assert row.verdict is Verdict.unknown and "cmd is not known" in row.why


def test_one_seed_needs_an_interval_over_prompts():
    alone = a_claim(seeds=[0])
    row = only(alone, *made("eap", 0.1), *made("random", 0.5))
    assert row.verdict is Verdict.unknown and "run more seeds" in row.why
    with_ends = compared(Measured(1.0, 0.8, 1.2), Measured(2.0, 1.9, 2.1), Effect.difference)
    assert (with_ends.low, with_ends.high) == pytest.approx((-1.3, -0.7))
    assert judged(alone, with_ends)[0] is Verdict.holds


def test_paired_resamples_are_narrower_than_the_ends_of_both_intervals():
    noise = np.random.default_rng(0).normal(size=1000)
    one, other = (Measured.resampled(mean, mean + noise) for mean in (1.0, 1.5))
    paired = compared(one, other, Effect.difference)
    assert (paired.value, paired.low, paired.high) == pytest.approx((-0.5, -0.5, -0.5))
    assert one.high - other.low > 0


def test_ratios_are_averaged_as_logarithms_with_students_interval():
    found = over_seeds([0.25, 1.0, 4.0], logs=True)
    # t(0.975, 2) = 4.303, and the logarithms to base 4 are -1, 0 and 1.
    half = 4.30265 / 3**0.5
    assert (found.value, found.low, found.high) == pytest.approx((1, 4**-half, 4**half), rel=1e-4)


SEEDED = "self_ablation/{}_seed{}"


def trained(way, *values):
    """Records of one cell and seed, of a model for each seed of training."""
    return [
        replace(
            one,
            key=f"{way}-{seed}",
            model={"files": f"{way}-{seed}"},
            names=one.names | {"model": SEEDED.format(way, seed)},
            config=one.config | {"seed": 0, "model": {"name": SEEDED.format(way, seed)}},
            data=dict.fromkeys(("train", "test"), "same"),
        )
        for seed, one in enumerate(made("eap", *values))
    ]


def of_trained(**changes):
    """That models that ablate themselves have a lower CMD than baselines."""
    return a_claim(
        claimed=f"eap under {ABLATION}", rivals=[f"eap under {ABLATION}"],
        models=[SEEDED.format(way, "{seed}") for way in ("local_k1", "local_k4")],
        rival_model=SEEDED.format("baseline", "{seed}"), **changes,
    )  # fmt: skip


def test_models_are_compared_with_another_by_seed_of_training():
    local, baseline = trained("local_k4", 0.1, 0.5, 0.9), trained("baseline", 0.2, 0.6, 1.0)
    absent, found = rows(of_trained(), *local, *baseline)
    assert found.verdict is Verdict.holds
    assert found.effect.value == pytest.approx(-0.1)
    assert found.keys == tuple(record.key for record in (*local, *baseline))
    table = table_of([absent, found])
    assert table.table["model"].tolist() == ["local_k1", "local_k4"]
    assert table.table["against"].tolist() == ["baseline"] * 2
    assert table.data["against"].tolist()[0].endswith(f" of {SEEDED.format('baseline', '{seed}')}")
    assert absent.missing and "of self_ablation/local_k1_seed{seed}, seed 0, 1, 2" in absent.why
    wanted = [SEEDED.format(way, seed) for way in ("local_k1", "baseline") for seed in range(3)]
    assert commands([absent])[0].endswith(f" model={','.join(wanted)}")


def test_a_missing_seed_of_training_decides_nothing():
    local, baseline = trained("local_k4", 0.1, 0.5, 0.9), trained("baseline", 0.2, 0.6)
    row = rows(of_trained(), *local, *baseline)[1]
    assert row.missing and "of self_ablation/baseline_seed{seed}, seed 2" in row.why
