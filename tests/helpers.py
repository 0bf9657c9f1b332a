"""Prompts, masks and values that many tests need."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.batch import Batch
from benchmark.config import configured
from benchmark.forward import source_values
from benchmark.graph import ComputationalGraph
from benchmark.method import Problem
from benchmark.model import LanguageModel
from benchmark.seeding import generator
from benchmark.transformer import Transformer
from benchmark.values import SourceValues


def random_batch(
    d_vocab: int = 50,
    n_prompts: int = 4,
    n_positions: int = 8,
    *,
    same_length: bool = False,
    first_token: int | None = None,
    seed: int = 0,
) -> Batch:
    draw = generator(seed, "test prompts")
    clean, corrupted = torch.randint(d_vocab, (2, n_prompts, n_positions), generator=draw)
    if first_token is not None:
        clean[:, 0] = corrupted[:, 0] = first_token
    lengths = torch.full((n_prompts,), n_positions)
    if not same_length:
        lengths = torch.randint(3, n_positions + 1, (n_prompts,), generator=draw)
        lengths[0] = n_positions
    tokens = torch.stack([torch.randperm(d_vocab, generator=draw)[:4] for _ in range(n_prompts)])
    answers, wrong = tokens[:, :2], tokens[:, 2:]
    ids = tuple(f"prompt {seed} {i}" for i in range(n_prompts))
    return Batch(clean, corrupted, lengths, lengths - 1, answers, wrong, ids)


def training_problem(
    model: LanguageModel,
    ablation: str = "counterfactual",
    work_folder: Path | None = None,
    **changes: Any,
) -> Problem:
    return Problem(
        model=model,
        batches=[random_batch(d_vocab=20, n_prompts=12)],
        metric=configured("metric", "logit_difference"),
        ablation=configured("ablation", ablation, **changes),
        references={},
        seed=3,
        training_steps=None,
        work_folder=work_folder,
    )


def edges_of_silent_nodes(graph: ComputationalGraph) -> Tensor:
    """The edges that do nothing in the `planted` model: of nodes that write nothing."""
    silent = {"a0.h1", "a1.h1", "m0"}
    out = torch.tensor([name in silent for name in graph.sources])
    into = torch.tensor([name.split("<")[0] in silent for name in graph.destinations])
    return (out[:, None] | into) & graph.exists


def random_masks(
    graph: ComputationalGraph, n_masks: int, *, binary: bool = False, seed: int = 0
) -> Tensor:
    draw = generator(seed, "test masks")
    shape = n_masks, graph.n_sources, graph.n_destinations
    values = torch.rand(shape, generator=draw, dtype=torch.float64)
    values = (values > 0.5).double() if binary else values
    return values * graph.exists


def counterfactual(model: Transformer, batch: Batch, keep_first: bool = False) -> SourceValues:
    return replace(source_values(model, batch.corrupted), keep_first=keep_first)


def random_values(
    model: Transformer, rows: tuple[int, int, int], *, keep_first: bool = True, seed: int = 0
) -> SourceValues:
    draw = generator(seed, "test values")
    shape = model.shape

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=draw, dtype=torch.float64)

    return SourceValues(
        input=normal(*rows, shape.d_model),
        heads=normal(shape.n_layers, shape.n_heads, *rows, shape.d_head),
        mlps=normal(shape.n_layers, *rows, shape.d_model),
        keep_first=keep_first,
    )


def largest(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())
