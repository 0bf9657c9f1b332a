"""Two programs compiled by hand, with the edges that they use (after Lindner et al. 2023, Tracr).

Their references are the edges whose removal (zero in their place) changes an output. Under
counterfactual ablation fewer matter, because what a prompt and its counterfactual have in common
may be exchanged: `counterfactual_edges`.
"""

from fractions import Fraction

from benchmark.pretraining.compiled.program import Head, Neuron, Program
from benchmark.pretraining.vocabulary import END

COUNTED_LETTERS = ("w", "x", "y", "z")
LONGEST_FRACTION = 5
SYMBOLS = ("1", "2", "3")
ARROW = ">"
SHORTEST_REVERSAL, LONGEST_REVERSAL = 2, 5
# Logits of neighbouring answers then differ by 5 or more.
SHARPNESS = 2000.0
# Raises fractions above all other tokens, whose logits are 0.
ABOVE_OTHERS = 10.0


def fraction_of_x() -> tuple[Program, list[str], list[str]]:
    """The share of x among the letters so far, its edges, and those a counterfactual shows.

    The MLP of layer 0 says where an x is; a head of layer 1 takes the mean of that over all
    letters. The logit of a fraction f is minus SHARPNESS times the squared distance to it, up to
    a constant, which is linear in the mean.
    """
    fractions = sorted(
        {Fraction(a, b) for b in range(1, LONGEST_FRACTION + 1) for a in range(b + 1)}
    )
    letters = {letter: {letter: 1.0, "letter": 1.0, "one": 1.0} for letter in COUNTED_LETTERS}
    program = Program(
        vocabulary=[*COUNTED_LETTERS, *map(str, fractions)],
        features=[*COUNTED_LETTERS, "letter", "one", "is x", "share of x"],
        tokens={END: {"one": 1.0}, **letters},
        positions=[{}] * (LONGEST_FRACTION + 2),
        heads=[Head(1, 2, query=[("one", "letter")], moves={"is x": "share of x"})],
        neurons={0: [Neuron({"x": 1.0}, 0.0, {"is x": 1.0})]},
        logits={
            str(f): {
                "share of x": 2 * SHARPNESS * float(f),
                "one": ABOVE_OTHERS - SHARPNESS * float(f) ** 2,
            }
            for f in fractions
        },
        n_layers=2,
        n_heads=4,
    )
    changing = ["input->m0", "m0->a1.h2<v>", "a1.h2->logits"]
    return program, [*changing, "input->a1.h2<q>", "input->a1.h2<k>", "input->logits"], changing


def reversal() -> tuple[Program, list[str], list[str]]:
    """A sequence, an arrow, and the sequence backwards; its edges, and a counterfactual's.

    A head of layer 0 finds the arrow and reads its position, which is the length plus one; the
    MLP of layer 0 computes from it and from the own position which token comes next; a head of
    layer 2 copies that token.
    """
    n_positions = 2 * LONGEST_REVERSAL + 2
    arrows = range(SHORTEST_REVERSAL + 1, LONGEST_REVERSAL + 2)
    at, arrow_at, wanted = (
        [f"{name} {p}" for p in range(n_positions)] for name in ("at", "arrow at", "wanted")
    )
    neurons = [
        Neuron({at[p]: 1.0, arrow_at[a]: 1.0}, -1.0, {wanted[2 * a - 1 - p]: 1.0})
        for a in arrows
        for p in range(a, 2 * a - 1)
    ]
    program = Program(
        vocabulary=[*SYMBOLS, ARROW],
        features=[
            *SYMBOLS,
            "arrow",
            "one",
            *at,
            *arrow_at,
            *wanted,
            *map("next {}".format, SYMBOLS),
        ],
        tokens={
            END: {"one": 1.0},
            ARROW: {"arrow": 1.0, "one": 1.0},
            **{symbol: {symbol: 1.0, "one": 1.0} for symbol in SYMBOLS},
        },
        positions=[{name: 1.0} for name in at],
        heads=[
            Head(0, 1, query=[("one", "arrow")], moves=dict(zip(at, arrow_at, strict=True))),
            Head(
                2,
                3,
                query=list(zip(wanted, at, strict=True)),
                moves={symbol: f"next {symbol}" for symbol in SYMBOLS},
            ),
        ],
        neurons={0: neurons},
        logits={symbol: {f"next {symbol}": 10.0} for symbol in SYMBOLS},
        n_layers=3,
        n_heads=4,
    )
    changing = ["input->a2.h3<v>", "a2.h3->logits"]
    fixed = ["input->a0.h1<q>", "input->a0.h1<k>", "input->a0.h1<v>", "a0.h1->m0", "input->m0"]
    return program, [*fixed, "m0->a2.h3<q>", "input->a2.h3<k>", *changing], changing


PROGRAMS = {"fraction_of_x": fraction_of_x, "reversal": reversal}
