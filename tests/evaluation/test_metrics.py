from benchmark.evaluation.metrics import evaluation_metrics
from benchmark.metric import KLDivergence


def test_the_loss_gap_is_first_and_nothing_is_measured_twice():
    assert list(evaluation_metrics("kl")) == [
        "loss_gap",
        "logit_difference",
        "accuracy",
        "exact_match",
    ]
    asked = evaluation_metrics("accuracy")
    assert list(asked) == ["loss_gap", "logit_difference", "accuracy", "exact_match"]
    assert isinstance(asked["loss_gap"], KLDivergence)
    assert list(evaluation_metrics("probability_difference"))[-1] == "probability_difference"
