"""The compiled programs: exact in float64, and their circuits proved edge by edge."""

from fractions import Fraction
from itertools import product

import pytest
import torch

from benchmark.config import configured
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.mask import EdgeMask
from benchmark.models.loading import load_model
from benchmark.pretraining.compiled.programs import PROGRAMS, SHARPNESS
from benchmark.prompts.batch import Batch
from benchmark.references.circuits import reference_circuits
from benchmark.zoo.cards import zoo_directory

# Cutting an edge of a circuit must change an output by far more than rounding.
ROUNDING, CHANGE = 1e-9, 1e-3


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def compiled(request):
    return load_model(zoo_directory(request.param), dtype="float64")


def all_prompts(model) -> Batch:
    """Every prompt of the program's language that is read somewhere, with a shifted corruption."""
    if model.name.endswith("reversal"):
        texts = [
            " ".join([*sequence, ">", *sequence[::-1][:done]])
            for length in (2, 3, 4, 5)
            for sequence in product("123", repeat=length)
            for done in range(length)
        ]
    else:
        texts = [" ".join(t) for n in (1, 2, 3, 4, 5) for t in product("wxyz", repeat=n)]
    rows = [[0, *model.tokenizer.encode(text)] for text in texts]
    width = max(map(len, rows))
    lengths = torch.tensor([len(row) for row in rows])
    clean = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    answers = torch.tensor([[solve(model, text)] for text in texts])
    # Prompts of one length and stage are neighbours of their kind; the next one is as aligned.
    kinds = {}
    for index, text in enumerate(texts):
        kinds.setdefault((len(text.partition(">")[0]), len(text)), []).append(index)
    partner = torch.zeros(len(rows), dtype=torch.long)
    for members in kinds.values():
        partner[members] = torch.tensor(members).roll(7)
    corrupted = clean[partner]
    return Batch(clean, corrupted, lengths, lengths - 1, answers, answers[partner], tuple(texts))


def solve(model, text: str) -> int:
    if ">" in text:
        sequence, _, done = text.partition(" >")
        answer = sequence.split()[::-1][len(done.split())]
    else:
        answer = str(Fraction(text.split().count("x"), len(text.split())))
    return model.tokenizer.get_vocab()[answer]


def test_every_prompt_is_answered(compiled):
    prompts = all_prompts(compiled)
    logits = clean_logits(compiled, prompts.clean, prompts.read_at)
    assert (logits.argmax(-1) == prompts.answers[:, 0]).all()
    best = logits.sort(-1, descending=True).values
    assert float((best[:, 0] - best[:, 1]).min()) >= 4.9
    assert compiled.largest_logit_difference < ROUNDING


def test_logits_are_exact_in_float64(compiled):
    prompts = all_prompts(compiled)
    logits = clean_logits(compiled, prompts.clean, prompts.read_at)
    if compiled.name.endswith("reversal"):
        wanted = torch.zeros_like(logits).scatter(1, prompts.answers, 10.0)
        assert float((logits - wanted).abs().max()) == 0
        return
    vocabulary = compiled.tokenizer.get_vocab()
    for index, text in enumerate(prompts.ids[::17]):
        share = Fraction(text.split().count("x"), len(text.split()))
        for other in {Fraction(a, b) for b in range(1, 6) for a in range(b + 1)}:
            wanted = 10 + SHARPNESS * float(2 * share * other - other**2)
            assert abs(float(logits[index * 17, vocabulary[str(other)]]) - wanted) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("keep_first", [True, False])
def test_cutting_a_reference_edge_changes_an_output_and_cutting_any_other_does_not(
    compiled, keep_first
):
    everything = all_prompts(compiled)
    prompts = everything.select(torch.arange(0, len(everything), 41))
    (reference,) = reference_circuits(compiled.name.rpartition("/")[2], compiled).values()
    circuit = set(reference.mask.edges())
    for ablation, edges in (
        ("zero", circuit),
        ("counterfactual", set(reference.facts["counterfactual_edges"])),
    ):
        effects = effects_of_cuts(compiled, prompts, ablation, keep_first)
        assert {edge for edge, effect in effects.items() if effect > CHANGE} == edges
        assert max(effect for edge, effect in effects.items() if edge not in edges) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["zero", "counterfactual"])
def test_all_other_edges_can_be_cut_at_once(compiled, ablation):
    prompts = all_prompts(compiled)
    (reference,) = reference_circuits(compiled.name.rpartition("/")[2], compiled).values()
    edges = reference.facts["counterfactual_edges"]
    mask = EdgeMask.of_edges(compiled.graph, edges) if ablation != "zero" else reference.mask
    values = configured("ablation", ablation).fit(compiled, [prompts])(prompts)
    logits = masked_logits(compiled, mask, prompts, values)
    clean = clean_logits(compiled, prompts.clean, prompts.read_at)
    assert float((logits - clean).abs().max()) < ROUNDING


def effects_of_cuts(model, prompts, ablation, keep_first):
    """The largest change of a logit when each edge alone is cut."""
    graph = model.graph
    values = configured("ablation", ablation, keep_first=keep_first).fit(model, [prompts])(prompts)
    clean = clean_logits(model, prompts.clean, prompts.read_at)
    cuts = graph.exists.nonzero()
    masks = graph.exists.double().repeat(len(cuts), 1, 1)
    masks[torch.arange(len(cuts)), cuts[:, 0], cuts[:, 1]] = 0
    effects = torch.cat(
        [
            (masked_logits(model, part, prompts, values) - clean).abs().amax((-2, -1))
            for part in masks.split(32)
        ]
    )
    names = (graph.edge_name(*cut) for cut in cuts.tolist())
    return dict(zip(names, effects.tolist(), strict=True))


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_the_shipped_weights_are_what_the_compiler_makes(name):
    model, _ = PROGRAMS[name]()[0].compile()
    shipped = load_model(zoo_directory(name), dtype="float64").hugging_face.state_dict()
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, shipped[key]), key
