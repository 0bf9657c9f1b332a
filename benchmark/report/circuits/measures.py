"""What circuits are measured by where claims are tested: scores, passes, likeness of seeds."""

from collections.abc import Sequence

import numpy as np

from benchmark.records.record import Record
from benchmark.report.circuits.cell_scores import CellScores
from benchmark.report.circuits.stability import Stability
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
    "instability": Quantity("width of CPR's interval by that of NDF's", 0.0),
    "jaccard_of_seeds": Quantity(f"Jaccard index at {AT_SHARE:.0%} of the edges", 0.0, 1.0),
}


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """A quantity of records of circuits, each evaluated under its own ablation."""
    if quantity == "jaccard_of_seeds":
        return _jaccard_of_seeds(results, records)
    if quantity in (*PER_PROMPT, "passes"):
        return {record.key: Measured.exact(_passes(record, quantity)) for record in records}
    cells = CellScores(results)
    if quantity == "instability":
        return {record.key: _instability(cells, record) for record in records}
    return {record.key: _score(cells, record, quantity) for record in records}


def _score(cells: CellScores, record: Record, quantity: str) -> Measured:
    """A score of the leaderboard; unknown where a record was evaluated under others alone."""
    own = record.names["ablation"]
    if own not in record.areas and not quantity.startswith("auroc"):
        return Measured(UNKNOWN)
    return Measured(*cells.value(record, own, quantity, AT_SHARE))


def _instability(cells: CellScores, record: Record) -> Measured:
    """How much wider the interval of CPR is than that of the area under NDF, over prompts."""
    cpr, deviation = (_score(cells, record, name) for name in ("cpr", "ndf"))
    return Measured((cpr.high - cpr.low) / (deviation.high - deviation.low))


def _passes(record: Record, quantity: str) -> float:
    spent = record.cost["method"]
    if quantity == "passes":
        return spent["forward"] + spent["backward"]
    return spent[PER_PROMPT[quantity]] / record.config["n_train"]


def _jaccard_of_seeds(results: Results, records: Sequence[Record]) -> dict[str, Measured]:
    """For each record the mean over those of other seeds; see `Stability`."""
    stability = Stability(results)
    return {
        record.key: Measured(stability.jaccard(record, AT_SHARE, records)) for record in records
    }
