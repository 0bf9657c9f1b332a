"""Time attribution on a large random model, with its peak memory.

    .venv/bin/python scripts/bench_large.py [--layers 16] [--prompts 2] [--device cpu]

The model is Llama-shaped, by default with a billion parameters, in bfloat16; scores are float32.
It is made by a process of its own, so that the peak is that of loading and attribution. Memory is
the whole process's on a CPU, and that of tensors on a GPU.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import torch
from bench_engine import prompts
from rich.console import Console
from rich.table import Table

from benchmark.config import configured
from benchmark.memory import keep_freed_memory
from benchmark.meter import metering, peak_bytes
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.random_models import random_config, save_random_model

METHODS = ("eap", "eap_ig")


def make(folder: str, n_layers: int) -> None:
    """Save the model."""
    config = random_config(
        "llama",
        n_layers=n_layers,
        n_heads=32,
        d_model=2048,
        d_mlp=8192,
        d_vocab=32000,
        n_ctx=2048,
    )
    save_random_model(folder, config)


def problem(model: LanguageModel, n_prompts: int, n_tokens: int) -> Problem:
    """Random prompts under counterfactual ablation."""
    return Problem(
        model=model,
        batches=[prompts(model, n_prompts, n_tokens)],
        metric=configured("metric", "logit_difference"),
        ablation=configured("ablation", "counterfactual"),
        references={},
        seed=0,
        training_steps=None,
        work_folder=None,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    keep_freed_memory()
    table = Table("operation", "seconds", "forward passes", "backward passes", "peak GB so far")
    with tempfile.TemporaryDirectory() as folder:
        spawned = multiprocessing.get_context("spawn")
        maker = spawned.Process(target=make, args=(folder, options.layers))
        maker.start()
        maker.join()
        start = time.perf_counter()
        model = load_model(Path(folder), dtype=options.dtype, device=options.device)
        loading = time.perf_counter() - start
    n_parameters = sum(p.numel() for p in model.hugging_face.parameters())
    table.add_row("load", f"{loading:.1f}", "", "", f"{peak_bytes() / 1e9:.1f}")
    asked = problem(model, options.prompts, options.tokens)
    with metering() as cost, torch.no_grad():
        model.hugging_face(asked.batches[0].clean, use_cache=False)
    table.add_row("plain forward", f"{cost.seconds:.1f}", str(options.prompts), "0", "")
    for name in METHODS:
        with metering() as cost:
            configured("method", name, batch_size=options.prompts).scores(asked)
        passes = f"{cost.forward:g}", f"{cost.backward:g}"
        table.add_row(name, f"{cost.seconds:.1f}", *passes, f"{peak_bytes() / 1e9:.1f}")
    table.title = (
        f"{n_parameters / 1e9:.2f} billion parameters, {model.graph.n_edges:,} edges, "
        f"{options.prompts} prompts of {options.tokens} tokens, {options.dtype}, {options.device}"
    )
    Console(width=max(Console().width, 100)).print(table)


if __name__ == "__main__":
    main()
