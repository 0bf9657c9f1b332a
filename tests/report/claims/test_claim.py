"""Claims that no cell could decide are refused, in one line that says what to write."""

import pytest
from omegaconf import OmegaConf

from benchmark.config import configured, option_text
from benchmark.errors import UserError
from benchmark.report.claims.claim import claim, claims

NAME = "ugs_below_rivals"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(sentense="x"), "claims.sentense is not a setting.*did you mean 'sentence'"),
        (dict(side="beside"), "claims.side cannot be used: Invalid value 'beside'"),
        (dict(claimed="ugs"), "'ugs' is no cell; write METHOD under ABLATION"),
        (dict(claimed="usg under zero"), "method=usg does not exist, did you mean 'ugs'"),
        (dict(rivals=["eap under mean_"]), "ablation=mean_ does not exist, did you mean 'mean'"),
        (dict(rivals=["ugs under counterfactual"]), "is compared with itself"),
        (dict(task="oio"), "task=oio does not exist, did you mean 'ioi'"),
        (dict(models=["toy_gpt"]), "model=toy_gpt does not exist, did you mean 'toy_gpt2'"),
        (dict(rival_model="toy_gpt2"), "rival_model=toy_gpt2 is one of models"),
        (dict(rival_model="toy_gpt"), "model=toy_gpt does not exist, did you mean 'toy_gpt2'"),
        (dict(rival_model="self_ablation/local_k4_seed{seed}"), "in the name of each model"),
        (dict(models=[]), "models and seeds may not be empty"),
        (dict(seeds=[]), "models and seeds may not be empty"),
        (dict(run="method=ugs"), "run='method=ugs' does not begin with experiment=NAME"),
        (dict(run="experiment=claim"), "experiment=claim does not exist, did you mean 'claims'"),
        (dict(minutes=0), "minutes=0 is no time"),
        (dict(quantity="log_aera"), "quantity=log_aera is not one of circuits.*'log_area'"),
        (dict(kind="novel"), "kind=novel measures nothing for method=ugs"),
        (dict(value=float("inf")), "cannot be false"),
        (dict(quantity="auroc_edges", value=1.5), "difference below 1.5 cannot be false"),
        (dict(quantity="auroc_edges", value=-1), "difference below -1 can never hold"),
        (dict(quantity="cpr", effect="ratio"), "effect=ratio of cpr, which may be negative"),
        (dict(quantity="cmd", rivals=[], side="above", value=-0.1), "above -0.1 cannot be false"),
    ],
)
def test_what_no_cell_could_decide_is_refused_in_one_line(change, message):
    with pytest.raises(UserError, match=message) as refused:
        configured("claims", NAME, **change)
    assert "\n" not in str(refused.value)


def test_a_wrong_file_is_named(monkeypatch):
    wrong = OmegaConf.create(option_text("claims", NAME))
    wrong.value = float("nan")
    monkeypatch.setattr("benchmark.config.option_text", lambda *_: OmegaConf.to_yaml(wrong))
    with pytest.raises(UserError, match=rf"conf/claims/{NAME}.yaml: the rule .* can never hold"):
        claim(NAME)
    with pytest.raises(UserError, match="claims=nothing does not exist"):
        claim("nothing")


def test_the_claims_that_ship_build_cheapest_first_and_run_known_experiments():
    minutes = [one.minutes for one in claims().values()]
    assert minutes == sorted(minutes)
