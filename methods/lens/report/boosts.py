"""By how much a layer knows better than the model, without counting a lucky choice of the layer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from benchmark.report.frame import Results
from benchmark.statistics.bootstrap import interval_of_means

SHOWN = {"right": "right demonstrations", "wrong": "wrong demonstrations"}


@dataclass(frozen=True)
class Boost:
    """What reading at the best layer gains over the model itself.

    Attributes:
        layer: the layer, chosen by half of the prompts.
        value: the accuracy there less that of the model, on the other half.
        low: the lower end of its 95 % bootstrap interval over prompts.
        high: the upper end.
        largest: the largest of all layers on all prompts less that of the model, as papers count.
        model: the accuracy of the model itself, on all prompts.
    """

    layer: int
    value: float
    low: float
    high: float
    largest: float
    model: float

    @classmethod
    def of(cls, correct: Float[np.ndarray, "layers_and_model prompts"]) -> "Boost":
        """From what every layer, and last the model, gets right."""
        gained = correct[:-1].astype(np.float64) - correct[-1]
        layer = int(gained[:, ::2].mean(1).argmax())
        other = gained[layer, 1::2]
        (low,), (high,) = interval_of_means(other[None])
        largest, model = float(gained.mean(1).max()), float(correct[-1].mean())
        return cls(layer, float(other.mean()), low, high, largest, model)


def boost_of(results: Results, key: str, shown: str) -> Boost:
    """What the lens of a record gains behind right or wrong demonstrations; see `SHOWN`."""
    correct = results.tensor(key, f"correct/{shown}")
    assert correct is not None
    return Boost.of(correct)


def gains(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """What each lens gains over the model at its best layer, of the records that rows are of.

    Args:
        results: of studies of elicitation.
        rows: some of them, as `with_lenses` gives them.

    Returns:
        task, lens, seed, shown, model (its accuracy), layer, gain, low and high (on prompts that
        did not choose the layer), largest (on all).
    """
    found = []
    for key, lens in rows[["key", "lens"]].drop_duplicates().itertuples(index=False):
        record = results.records[key]
        for kind in SHOWN:
            boost = boost_of(results, key, kind)
            found.append(
                {
                    "task": results.labels[key]["task"],
                    "lens": lens,
                    "seed": record.config["seed"],
                    "shown": kind,
                    "model": boost.model,
                    "layer": boost.layer,
                    "gain": boost.value,
                    "low": boost.low,
                    "high": boost.high,
                    "largest": boost.largest,
                }
            )
    return pd.DataFrame(found)
