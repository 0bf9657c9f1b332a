"""What every curve measures, whatever its method and its task."""

from benchmark.config import configured
from benchmark.metric import KLDivergence, Metric

# Options of conf/metric/ that stand beside the loss gap in every table of circuits.
MEASURED = ("logit_difference", "accuracy", "exact_match")


def evaluation_metrics(asked: str) -> dict[str, Metric]:
    """The loss gap first, then those of every curve, and the option that a cell asks for."""
    others = {name: configured("metric", name) for name in (*MEASURED, asked) if name != "kl"}
    return {"loss_gap": KLDivergence(), **others}
