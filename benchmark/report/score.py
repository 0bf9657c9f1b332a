"""The scores that circuits may be compared by."""

from dataclasses import dataclass

from benchmark.errors import UserError, near

# Random circuits of one size that a z-score needs.
FEWEST_RANDOM_CIRCUITS = 5
# Loss gaps, in nats, that circuits may have where the edges that they need are counted.
GAPS = (0.05, 0.1)
# Scores, what they are called in tables, and whether lower is better.
SCORES: dict[str, tuple[str, bool]] = {
    "log_area": ("mean log10 loss gap", True),
    "cpr": ("CPR", False),
    "cmd": ("CMD (MIB)", True),
    "ndf": ("area under NDF", False),
    "auroc_edges": ("AUROC (edges)", False),
    "auroc_components": ("AUROC (components)", False),
    "auroc_edges_pessimistic": ("AUROC (edges, pessimistic)", False),
    "auroc_components_pessimistic": ("AUROC (components, pessimistic)", False),
    "auroc": ("AUROC", False),
    "auroc_pessimistic": ("AUROC (pessimistic)", False),
    "faithfulness": ("faithfulness", False),
    "loss_gap": ("loss gap (nats)", True),
    **{f"edges_at_{gap}": (f"edges at {gap} nats", True) for gap in GAPS},
    "edges": ("edges at a loss gap", True),
    "jaccard": ("Jaccard index of circuits of other seeds", False),
    "rank_correlation": ("rank correlation of the scores of other seeds", False),
    "z": ("z against random circuits", True),
}
# Scores that divide by the distance between the empty circuit and the whole model.
NORMALISED = ("cpr", "cmd", "faithfulness")
AT_SHARE = ("faithfulness", "loss_gap", "jaccard", "z")
# Scores of how alike a method's circuits and rankings are on other prompts.
STABILITY = ("jaccard", "rank_correlation")
# Scores of two columns: how well a circuit's edges, and its components, are told from all others;
# and the edges at every loss gap.
PARTS = {
    f"auroc{ending}": {members: f"auroc_{members}{ending}" for members in ("edges", "components")}
    for ending in ("", "_pessimistic")
} | {"edges": {f"{gap} nats": f"edges_at_{gap}" for gap in GAPS}}
# What a score needs that not every record has.
NEEDS = dict.fromkeys(SCORES, "run something that has it") | {
    **dict.fromkeys((name for name in SCORES if name.startswith("auroc")), "no reference circuit"),
    "z": f"run method=random too, with method.circuits_per_size={FEWEST_RANDOM_CIRCUITS} or more",
    **dict.fromkeys(STABILITY, "run more seeds, seed=0,1,2, of methods that rank edges"),
    "loss_gap": "no circuit is as small as at_share says",
}


@dataclass(frozen=True)
class Score:
    """Which score, and at which size where it needs one.

    Attributes:
        name: one of `SCORES`.
        at_share: for those of `AT_SHARE`, the largest size, as a share of all edges.
    """

    name: str
    at_share: float

    def __post_init__(self) -> None:
        """Check the name and the share."""
        if self.name not in SCORES:
            allowed = ", ".join(SCORES)
            raise UserError(f"score={self.name} is not one of {allowed}{near(self.name, SCORES)}")
        if not 0 < self.at_share <= 1:
            raise UserError(f"at_share={self.at_share} is not a share; give a number in (0, 1]")

    @property
    def title(self) -> str:
        """As tables head it."""
        title = SCORES[self.name][0]
        return f"{title} at {100 * self.at_share:g} % of edges" if self.name in AT_SHARE else title

    @property
    def words(self) -> tuple[str, ...]:
        """As names of files have it."""
        return self.name, f"{self.at_share:g}" if self.name in AT_SHARE else ""

    @property
    def form(self) -> str:
        """How its numbers are shown."""
        return ",.0f" if self.name.startswith("edges") else ".3f"

    @property
    def lower_is_better(self) -> bool:
        """Which way is better."""
        return SCORES[self.name][1]

    @property
    def parts(self) -> dict[str, str]:
        """The scores that it shows side by side, by what tells them apart."""
        return PARTS.get(self.name, {"": self.name})

    @property
    def of_circuits(self) -> bool:
        """Whether it looks at circuits alone, whatever they are evaluated under."""
        return self.name.startswith("auroc") or self.name in STABILITY
