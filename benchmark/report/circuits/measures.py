"""What circuits are measured by where claims are tested: scores, passes, likeness of seeds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.graph.circuits_file import StoredCircuits
from benchmark.records.record import CIRCUITS_FILE, Record
from benchmark.report.circuits.cell_scores import CellScores
from benchmark.report.frame import Results
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.report.score import GAPS
from benchmark.statistics.areas import FLOOR

# The largest size, as a share of all edges, of scores at a size.
AT_SHARE = 0.1
AUROC = Quantity("AUROC", 0.0, 1.0)
PER_PROMPT = {"forward_passes": "forward", "backward_passes": "backward"}
QUANTITIES = {
    "log_area": Quantity("mean log10 of the loss gap in nats", float(np.log10(FLOOR))),
    "loss_gap": Quantity(f"nats at {AT_SHARE:.0%} of the edges", 0.0),
    "cmd": Quantity("CMD (MIB)", 0.0),
    "cpr": Quantity("CPR"),
    "ndf": Quantity("area under NDF", 0.0, 1.0),
    **{f"edges_at_{gap}": Quantity(f"edges at {gap} nats", 0.0) for gap in GAPS},
    "auroc_edges": AUROC,
    "auroc_components": AUROC,
    "auroc_edges_pessimistic": AUROC,
    "auroc_components_pessimistic": AUROC,
    **dict.fromkeys(PER_PROMPT, Quantity("passes per training prompt", 0.0)),
    "passes": Quantity("passes of discovery", 0.0),
    "jaccard_of_seeds": Quantity(f"Jaccard index at {AT_SHARE:.0%} of the edges", 0.0, 1.0),
}


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """A quantity of records of circuits, each evaluated under its own ablation."""
    if quantity == "jaccard_of_seeds":
        return _jaccard_of_seeds(results, records)
    if quantity in (*PER_PROMPT, "passes"):
        return {record.key: Measured.exact(_passes(record, quantity)) for record in records}
    cells = CellScores(results)
    return {record.key: _score(cells, record, quantity) for record in records}


def _score(cells: CellScores, record: Record, quantity: str) -> Measured:
    """A score of the leaderboard; unknown where a record was evaluated under others alone."""
    own = record.names["ablation"]
    of_recovery = quantity.startswith("auroc")
    if own not in record.areas and not of_recovery:
        return Measured(UNKNOWN)
    return Measured(*cells.value(record, own, quantity, AT_SHARE))


def _passes(record: Record, quantity: str) -> float:
    spent = record.cost["method"]
    if quantity == "passes":
        return spent["forward"] + spent["backward"]
    return spent[PER_PROMPT[quantity]] / record.config["n_train"]


def _jaccard_of_seeds(results: Results, records: Sequence[Record]) -> dict[str, Measured]:
    """For each record the mean over those of other seeds: edges of both by edges of either.

    Records share pairs, so Student's interval over them is somewhat too narrow.
    """
    kept = {record.key: _largest_within(results, record) for record in records}
    found = {}
    for record in records:
        others = [kept[twin.key] for twin in records if _are_seeds_of_one_cell(twin, record)]
        alike = [_jaccard(kept[record.key], other) for other in others]
        found[record.key] = Measured(float(np.mean(alike)) if alike else UNKNOWN)
    return found


def _are_seeds_of_one_cell(one: Record, other: Record) -> bool:
    return one.names == other.names and one.config["seed"] != other.config["seed"]


def _largest_within(results: Results, record: Record) -> NDArray[np.bool_]:
    """The edges of the largest circuit that keeps at most that share of them."""
    keep = StoredCircuits.read(results.paths[record.key] / CIRCUITS_FILE).keep > 0
    sizes = keep.sum(axis=(1, 2))
    fitting = np.where(sizes <= AT_SHARE * record.n_edges, sizes, 0)
    return keep[int(fitting.argmax())]


def _jaccard(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else UNKNOWN
