"""Prompts, masks and values that many tests need."""

import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.cli.main import main
from benchmark.config import configured
from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer


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


def pairs_problem(
    model: LanguageModel, n_pairs: int = 3, n_positions: int = 4, **changes: Any
) -> Problem:
    """Prompt pairs of one length, as nodes at each position need them."""
    batch = random_batch(n_prompts=n_pairs, n_positions=n_positions, same_length=True)
    return replace(training_problem(model), batches=[batch], **changes)


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


def run_in_fork(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a child of this process, which has imported everything already.

    For the many mistakes that end early: a process of their own takes seconds to import torch.
    """
    for module in ("run.jobs", "cli.demo", "cli.show_task"):
        import_module(f"benchmark.{module}")
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _become_command(arguments, out.fileno(), err.fileno(), cwd)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *texts)


def _become_command(arguments: tuple[str, ...], out: int, err: int, cwd: Path | None) -> None:
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", closefd=False) for fd in (1, 2))
        os.chdir(cwd or ".")
        sys.argv = ["ablation-bench", *arguments]
        main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
