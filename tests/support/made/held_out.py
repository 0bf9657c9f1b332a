"""Held-out prompts of random tokens, and circuits to score on them."""

from support.prompts import random_batch
from support.values import random_masks

from benchmark.evaluation.circuits import HeldOut, passes
from benchmark.graph.mask import EdgeMask
from benchmark.metric import Accuracy, KLDivergence, LogitDifference, OverWrong

METRICS = {
    "loss_gap": KLDivergence(),
    "logit_difference": LogitDifference(OverWrong.mean),
    "accuracy": Accuracy(),
}


def held_out(n_test=20, d_vocab=50):
    train, test = (random_batch(d_vocab=d_vocab, n_prompts=n, seed=n) for n in (16, n_test))
    return HeldOut([train], passes(test), METRICS)


def circuits(graph, n=3):
    return [EdgeMask(graph, keep) for keep in random_masks(graph, n, binary=True)]
