"""What attribution estimates, under every kind of ablation; and its neurons."""

from itertools import pairwise

import pytest
import torch
from support.options import methods_of
from support.problems import problem
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.metric import KLDivergence
from methods.circuits.scoring.attribution import Attribution


@pytest.mark.parametrize(
    "name", ["zero", "mean", "mean_positional", "resample", "gaussian", "optimal"]
)
def test_eap_estimates_the_effect_of_each_edge(gpt2, name):
    """Each score is the gradient at the full mask; a small step along it changes the metric so."""
    changes = dict(steps=3, batch_size=5) if name == "optimal" else {}
    asked = problem(gpt2, name, **changes)
    eap = configured("method", "eap", batch_size=10)
    scores = eap.scores(asked)
    batch, graph = asked.batches[0], gpt2.graph
    values, step = asked.replacement(batch), 1e-5
    for edge in ("input->a0.h1<k>", "a0.h0->m0", "m0->a1.h1<v>", "m1->logits"):
        u, v = graph.edge(edge)
        keep = graph.exists.double()
        keep[u, v] -= step

        def metric(keep):
            with torch.no_grad():
                logits = masked_logits(gpt2, keep, batch, values)
            return float(asked.metric(logits, batch, logits).mean())

        slope = (metric(graph.exists.double()) - metric(keep)) / step
        assert float(scores.value[u, v]) == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_a_loss_is_attributed_with_the_other_sign(gpt2):
    eap = configured("method", "eap")
    entropy = configured("metric", "cross_entropy")
    assert not entropy.higher_is_better
    raised = eap.scores(problem(gpt2, metric=entropy)).value

    class Likelihood:
        unit, higher_is_better = "nats", True
        differentiable, flat_at_clean = True, False

        def __call__(self, logits, batch, clean_logits):
            return -entropy(logits, batch, clean_logits)

    assert largest(eap.scores(problem(gpt2, metric=Likelihood())).value, raised) < 1e-12


def test_the_loss_gap_has_no_first_order_effect(gpt2):
    reason = configured("method", "eap").unsupported(problem(gpt2, metric=KLDivergence()))
    assert "zero" in reason


@pytest.mark.slow
def test_constants_of_single_sources_lose_less_than_means(gpt2):
    """What attribution under optimal ablation uses is better than the mean for each source."""
    asked = problem(gpt2, "optimal", steps=60, batch_size=10)
    batch, graph = asked.batches[0], gpt2.graph
    masks = (1 - torch.eye(graph.n_sources, dtype=torch.float64))[..., None]

    def gaps(values):
        with torch.no_grad():
            clean = clean_logits(gpt2, batch.clean, batch.read_at)
            return KLDivergence()(masked_logits(gpt2, masks, batch, values), batch, clean).mean(-1)

    mean = configured("ablation", "mean").fit(gpt2, asked.batches)(batch)
    optimal = gaps(asked.replacement(batch))
    assert bool((optimal <= gaps(mean) * 1.01 + 1e-9).all())
    assert float(optimal.sum()) < 0.9 * float(gaps(mean).sum())


@pytest.mark.parametrize("name", methods_of(Attribution))
def test_every_attribution_has_neurons_but_exact_patching(gpt2, name):
    if name == "exact":
        with pytest.raises(UserError, match="granularity=edge or component"):
            configured("method", name, granularity="neuron")
        return
    method = configured("method", name, granularity="neuron")
    sizes = [0, 5, 40, gpt2.graph.n_edges]
    found = method.discover(problem(gpt2), sizes)
    assert all(circuit.size <= size for circuit, size in zip(found, sizes, strict=True))
    for circuit, larger in pairwise(found):
        assert bool((circuit.neurons <= larger.neurons).all())
        assert torch.equal(circuit.mask.keep.any(1), circuit.neurons.any(1))
    assert bool((found[-1].neurons == 1).all()) and not bool(found[0].neurons.any())
    with pytest.raises(UserError, match="selection=top"):
        configured("method", name, granularity="neuron", selection="greedy")
