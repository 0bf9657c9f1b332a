"""Interchange training: the causal graph, the replaced runs, and the model that was trained."""

import math
from dataclasses import replace
from itertools import combinations, product

import pytest
import torch
from safetensors.torch import load_file
from support.paths import CONF
from support.prompts import random_batch
from support.values import largest
from transformers import AutoModelForCausalLM

from benchmark.config import build, configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_run, masked_logits, source_values
from benchmark.graph.mask import EdgeMask
from benchmark.metric import Accuracy
from benchmark.models.loading import load_model
from benchmark.models.tokenizer import load_tokenizer
from benchmark.pretraining.known_circuit.causal_graph import NOTHING, VARIABLES, Names, run, target
from benchmark.pretraining.known_circuit.circuit import Circuit
from benchmark.pretraining.known_circuit.hints import attention_loss, log_attention
from benchmark.pretraining.known_circuit.interchange import (
    Activations,
    Replacing,
    Rewiring,
    next_token_logits,
)
from benchmark.pretraining.known_circuit.prompts import skeletons
from benchmark.pretraining.known_circuit.training import interchange_scores
from benchmark.pretraining.saving import initial_model
from benchmark.prompts.task import Split
from benchmark.references.circuits import reference_circuits
from benchmark.zoo.cards import read_card, zoo_directory

HEADS = dict(previous="a0.h0", duplicate="a1.h1", s_inhibition="a2.h3", name_mover="a3.h2")

ZOO = CONF / "zoo"


def names(*triples):
    return Names(*(torch.tensor(column) for column in zip(*triples, strict=True)))


def by_hand(first, second, actor, values):
    """The causal graph in plain words, with the replaced values of `values`."""
    previous = values.get("previous", {first, second})
    duplicate = values.get("duplicate", actor in previous)
    inhibited = values.get("s_inhibition", actor if duplicate else None)
    return values.get("name_mover", {first, second} - {inhibited})


TRIPLES = [t for t in product(range(4), repeat=3) if t[0] != t[1]]


@pytest.mark.parametrize("replaced", [(), *[(v,) for v in VARIABLES], VARIABLES[:3]])
def test_the_causal_graph_equals_its_description(replaced):
    pairs = list(product(TRIPLES, TRIPLES[::5]))
    own, other = (names(*(pair[i] for pair in pairs)) for i in (0, 1))
    everywhere = torch.ones(len(pairs), dtype=torch.bool)
    source = run(other)
    found = run(own, {variable: [(everywhere, source)] for variable in replaced})
    for index, (mine, theirs) in enumerate(pairs):
        first, second, actor = theirs
        inhibited = actor if actor in (first, second) else None
        all_values = {
            "previous": {first, second},
            "duplicate": inhibited is not None,
            "s_inhibition": inhibited,
            "name_mover": {first, second} - {inhibited},
        }
        wanted = by_hand(*mine, {variable: all_values[variable] for variable in replaced})
        assert set(found.name_mover[index].tolist()) - {NOTHING} == wanted
    probabilities = target(found, 5)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(pairs)))
    assert ((probabilities > 0).sum(1) == (found.name_mover != NOTHING).sum(1)).all()


def test_a_variable_fixed_to_its_own_value_stops_what_comes_before_it():
    own, other = names((0, 1, 0)), names((2, 3, 4))
    all_of_them = torch.ones(1, dtype=torch.bool)
    source, mine = run(other), run(own)
    for variable in ("previous", "duplicate"):
        exchanged = {variable: [(all_of_them, source)]}
        assert set(run(own, exchanged).name_mover[0].tolist()) == {0, 1}
    fixed = exchanged | {"s_inhibition": [(all_of_them, mine)]}
    assert torch.equal(run(own, fixed).name_mover, mine.name_mover)


def test_replaced_runs_equal_the_engine(gpt2):
    """With every node taken from another run, only the input is live, as in the masked pass."""
    batch = random_batch(same_length=True)
    hf = gpt2.hugging_face
    clean, own = next_token_logits(hf, batch.clean, batch.read_at)
    _, other = next_token_logits(hf, batch.corrupted, batch.read_at)
    n = len(batch)
    n_layers, n_heads = gpt2.shape.n_layers, gpt2.shape.n_heads
    heads = torch.ones(n, n_layers, n_heads, dtype=torch.bool)
    mlps = torch.ones(n, n_layers, dtype=torch.bool)
    assert largest(clean, clean_run(gpt2, batch.clean, batch.read_at)[0]) < 1e-9
    unchanged, _ = next_token_logits(hf, batch.clean, batch.read_at, [Replacing(own, heads, mlps)])
    assert largest(unchanged, clean) < 1e-9

    values = source_values(gpt2, batch.corrupted)
    keep = torch.zeros(gpt2.graph.n_sources)
    keep[0] = 1
    everything, _ = next_token_logits(
        hf, batch.clean, batch.read_at, [Replacing(other, heads, mlps)]
    )
    mask = EdgeMask.of_components(gpt2.graph, keep)
    wanted = masked_logits(gpt2, mask, batch, replace(values, keep_first=False))
    assert largest(everything, wanted) < 1e-9

    heads = torch.zeros_like(heads)
    heads[:, 1, 2] = True
    one, _ = next_token_logits(
        hf, batch.clean, batch.read_at, [Replacing(other, heads, torch.zeros_like(mlps))]
    )
    keep = torch.ones(gpt2.graph.n_sources)
    keep[gpt2.graph.source_index["a1.h2"]] = 0
    mask = EdgeMask.of_components(gpt2.graph, keep)
    wanted = masked_logits(gpt2, mask, batch, replace(values, keep_first=False))
    assert largest(one, wanted) < 1e-9
    assert largest(one, clean) > 1e-3


def test_rewired_connections_equal_the_engine(gpt2):
    """A destination reads another run's value of one head, and all else stays as it is."""
    batch = random_batch(same_length=True)
    hf, graph = gpt2.hugging_face, gpt2.graph
    _, other = next_token_logits(hf, batch.corrupted, batch.read_at)
    where = torch.rand(len(batch), generator=torch.Generator().manual_seed(0)) < 0.5
    crossed = {(0, 1, 1): where, (0, 0, gpt2.shape.n_layers): torch.ones_like(where)}
    found, _ = next_token_logits(hf, batch.clean, batch.read_at, (), Rewiring(other, crossed))
    values = replace(source_values(gpt2, batch.corrupted), keep_first=False)

    def engine(cut):
        keep = graph.exists.float()
        for source, reader in cut:
            for destination in (name for name in graph.destinations if name.startswith(reader)):
                keep[graph.source_index[source], graph.destination_index[destination]] = 0
        return masked_logits(gpt2, EdgeMask(graph, keep), batch, values)

    to_logits = ("a0.h0", "logits")
    wanted = torch.where(
        where[:, None],
        engine([to_logits, ("a0.h1", "a1.")]).view(len(batch), -1),
        engine([to_logits]).view(len(batch), -1),
    )
    assert largest(found, wanted) < 1e-9
    assert largest(found, clean_run(gpt2, batch.clean, batch.read_at)[0]) > 1e-3


def test_connections_that_the_graph_lacks_are_those_left_out_of_the_reference():
    circuit = Circuit.of(HEADS, 4, 4)
    nodes = {**{name: HEADS[name] for name in VARIABLES}, "logits": "logits"}
    reference = {tuple(part.split("<")[0] for part in e.split("->")) for e in circuit.edges()}
    unread = {(f"a{layer}.h{head}", reader) for layer, head, reader in circuit.unread()}
    for earlier, later in combinations(nodes.values(), 2):
        layer = 4 if later == "logits" else int(later[1])
        assert ((earlier, later) in reference) != ((earlier, layer) in unread)
    assert len(unread) == 6


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(str(zoo_directory("toy_gpt2")), None, 100_000)


def test_prompts_of_a_pair_are_of_one_template_with_names_in_the_same_places(tokenizer):
    frames = skeletons(tokenizer, Split.train, 60)
    runs = frames.sample(300, torch.Generator().manual_seed(0))
    assert runs.tokens.shape == runs.other_tokens.shape
    pool = frames.pool
    for tokens, found in ((runs.tokens, runs.names), (runs.other_tokens, runs.other_names)):
        is_name = torch.isin(tokens, pool)
        assert (is_name.sum(1) == 3).all()
        three = tokens[is_name].view(-1, 3)
        assert torch.equal(three, torch.stack([found.first, found.second, found.actor], 1))
        assert (found.first != found.second).all()
    assert torch.equal(torch.isin(runs.tokens, pool), torch.isin(runs.other_tokens, pool))
    repeats = (runs.names.actor == runs.names.first) | (runs.names.actor == runs.names.second)
    assert 0.6 < float(repeats.float().mean()) < 0.8


def test_hints_are_where_the_causal_graph_looks(tokenizer):
    """Attention that is exactly right has no loss; one that looks elsewhere has."""
    frames = skeletons(tokenizer, Split.train, 60)
    runs = frames.sample(40, torch.Generator().manual_seed(0))
    circuit, values = Circuit.of(HEADS, 4, 4), run(runs.names)
    n_pos = runs.tokens.shape[1]
    # A head of width n_pos whose keys are the positions: a query is then the log attention.
    looks = torch.full((4, len(runs.tokens), n_pos, 4, n_pos), -1e4)
    for row, slots in enumerate(runs.slots.tolist()):
        names = runs.tokens[row, slots].tolist()
        repeated = [slot for slot, name in zip(slots[:2], names, strict=False) if name == names[2]]
        free = [slot for slot in slots[:2] if slot not in repeated]
        end = int(runs.read_at[row])
        for slot in slots[:2]:
            looks[0, row, slot + 1, 0, slot] = 0
        looks[1, row, slots[2], 1, repeated[0] + 1 if repeated else 0] = 0
        looks[2, row, end, 3, slots[2] if repeated else 0] = 0
        looks[3, row, end, 2, free] = 0

    def loss(queries):
        keys = torch.eye(n_pos)[:, None].expand_as(queries[0])
        projections = [
            torch.cat([part.flatten(2) for part in (query * n_pos**0.5, keys, keys)], 2)
            for query in queries
        ]
        return float(attention_loss(circuit, Activations(projections=projections), runs, values))

    # Prompts with two answers look at both: the entropy ln 2 stays, for one hint of five.
    both = float((values.name_mover != NOTHING).all(1).float().mean())
    assert 0 < both < 1
    assert loss(looks) == pytest.approx(both * math.log(2) / 5, abs=1e-5)
    for layer in range(4):
        changed = looks.clone()
        changed[layer] = 0
        assert loss(changed) > loss(looks) + 0.1


def test_attention_of_the_hints_is_that_of_the_model(tokenizer):
    directory = zoo_directory("toy_gpt2")
    model = AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager")
    runs = skeletons(tokenizer, Split.train, 20).sample(8, torch.Generator().manual_seed(0))
    patterns = model(runs.tokens, output_attentions=True).attentions
    _, seen = next_token_logits(model, runs.tokens, runs.read_at)
    for layer, head in ((0, 1), (3, 2)):
        found = log_attention(seen.projections[layer], 4, head, runs.read_at).exp()
        wanted = patterns[layer][torch.arange(8), head, runs.read_at]
        assert largest(found, wanted) < 1e-5


@pytest.mark.slow
def test_held_out_frames_are_not_trained_on(tokenizer):
    train, test = (skeletons(tokenizer, split, 300) for split in (Split.train, Split.test))
    held_out = test.without(train)
    assert 20 < len(held_out.tokens) < len(test.tokens)
    seen = {tuple(frame) for frame in train._nameless()}
    assert not any(tuple(frame) in seen for frame in held_out._nameless())
    frame = torch.arange(len(held_out.tokens))
    first, last = held_out.partners.T
    assert ((first <= frame) & (frame <= last)).all()
    assert torch.equal(held_out.slots, held_out.slots[first])


@pytest.mark.slow
def test_a_model_that_exchanges_nothing_scores_low(tokenizer):
    """toy_gpt2 does the task, but not by this circuit."""
    model = load_model("toy_gpt2", device="cpu")
    circuit = Circuit.of(HEADS, 4, 4)
    frames = skeletons(tokenizer, Split.test, 300)
    scores = interchange_scores(model.hugging_face, circuit, frames, 0)
    assert set(scores) == {"accuracy", "strict", *(f"interchange_{name}" for name in VARIABLES)}
    assert all(scores[f"interchange_{name}"] < 0.9 for name in VARIABLES)
    assert scores["strict"] < 0.9


@pytest.fixture(scope="module")
def shipped():
    return load_model("ioi_known_circuit", device="cpu")


@pytest.mark.slow
def test_the_shipped_model_implements_the_graph_as_its_card_says(shipped):
    card = read_card(zoo_directory("ioi_known_circuit"))
    circuit = Circuit.of(card["settings"]["circuit"], shipped.shape.n_layers, shipped.shape.n_heads)
    train, test = (skeletons(shipped.tokenizer, split, 500) for split in (Split.train, Split.test))
    scores = interchange_scores(shipped.hugging_face, circuit, test.without(train), 0)
    assert set(scores) == set(card["interchange"])
    for name, score in scores.items():
        assert score == pytest.approx(card["interchange"][name], abs=0.015)
        assert card["interchange"][name] >= 0.99, name
    # Heads that compute nothing of the graph cannot be exchanged for its variables.
    idle = Circuit.of(HEADS, shipped.shape.n_layers, shipped.shape.n_heads)
    assert interchange_scores(shipped.hugging_face, idle, test, 0)["strict"] < 0.5


@pytest.mark.slow
def test_the_reference_edges_alone_do_the_task_and_each_connection_is_needed(shipped):
    """Under counterfactual ablation, with all three names of the corrupted prompt new."""
    graph = shipped.graph
    reference = reference_circuits("ioi", shipped)["reference"].mask
    batch = configured("task", "ioi").batch(shipped.tokenizer, Split.test, 100)
    values = source_values(shipped, batch.corrupted)

    def accuracy(keep):
        logits = masked_logits(shipped, EdgeMask(graph, keep), batch, values)
        return float(Accuracy()(logits, batch, logits).mean())

    assert reference.size == 22
    assert accuracy(reference.keep) >= 0.99
    assert accuracy(graph.exists.float() - reference.keep) < 0.1
    connections = {
        (u, graph.destinations[v].split("<")[0]) for u, v in reference.keep.nonzero().tolist()
    }
    assert len(connections) == 8
    for source, node in connections:
        keep = reference.keep.clone()
        for v, destination in enumerate(graph.destinations):
            if destination.split("<")[0] == node:
                keep[source, v] = 0
        assert accuracy(keep) < 0.6, (graph.sources[source], node)


def test_nodes_outside_the_circuit_begin_silent(gpt2):
    circuit = Circuit.of(HEADS, 4, 4)
    architecture = {"model_type": "gpt2", "n_layer": 4, "n_head": 4, "n_embd": 32}
    architecture |= dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = initial_model(architecture, 50, 0)
    circuit.silence_others(model)
    batch = random_batch(same_length=True)
    _, other = next_token_logits(model, batch.corrupted, batch.read_at)
    clean, _ = next_token_logits(model, batch.clean, batch.read_at)
    outside = Replacing(other, *circuit.outside(len(batch)))
    replaced, _ = next_token_logits(model, batch.clean, batch.read_at, [outside])
    assert largest(clean, replaced) < 1e-5
    everywhere = torch.ones(len(batch), dtype=torch.bool)
    inside = circuit.of_variables({"name_mover": everywhere}, other)
    moved, _ = next_token_logits(model, batch.clean, batch.read_at, [inside])
    assert largest(clean, moved) > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(duplicate="a9.h1"), "circuit.duplicate=a9.h1 is not a head of this model"),
        (
            dict(s_inhibition="a0.h3"),
            "circuit.s_inhibition=a0.h3 is not a head .* after those it reads",
        ),
        (dict(s_inhibition="m1"), "circuit.s_inhibition=m1 is not a head such as a0.h1"),
        (dict(s_inhibition="a1.h1"), "gives one head to two variables"),
        (dict(mover="a0.h3"), "circuit must name a head for each of previous, duplicate"),
    ],
)
def test_circuits_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Circuit.of(HEADS | changes, 4, 4)


@pytest.mark.slow
def test_a_few_steps_of_training_are_deterministic(tmp_path, monkeypatch):
    from hydra import compose, initialize_config_dir

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.pretraining.corpus.VOCABULARY_TEXTS", 500)
    settings = [
        "steps=3", "checkpoint_every=3", "n_skeletons=30", "batch_size=8", "n_scored=10",
        "scored=[ioi]",
    ]  # fmt: skip
    for name in ("one", "two"):
        with initialize_config_dir(str(ZOO), version_base="1.3"):
            config = compose("known_circuit", overrides=[*settings, f"directory={tmp_path / name}"])
        folder = build(config, where="zoo").run("a command")
        assert (tmp_path / name / "ioi_known_circuit.checkpoint").is_file()
        card = read_card(folder)
        assert set(card["interchange"]) == {
            "accuracy", "strict", *(f"interchange_{variable}" for variable in VARIABLES),
        }  # fmt: skip
    one, two = (
        load_file(tmp_path / name / "ioi_known_circuit" / "model.safetensors")
        for name in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
