"""Time the engine in multiples of one plain Hugging Face forward pass.

    .venv/bin/python scripts/bench_engine.py [--json FILE] [--shapes small gpt2] [--device cpu]
    .venv/bin/python scripts/bench_engine.py --shapes smollm2-135m-q4 --tokens 16 --threads 1

A shape is a random GPT-2 of that size, or a model's name or directory.
Each operation is timed next to a plain forward pass (no gradient) of the same prompts by Hugging
Face, in turn, in one process; the figure is the median over rounds of the ratio of their times
(CPU time on a CPU, elapsed time on a GPU). With several masks it is per mask. `peak_mb` is the
largest memory that the process had used when the operation ended.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Column, Table

from benchmark.forward.passes import masked_logits, source_values
from benchmark.forward.values import SourceValues, zero_values
from benchmark.memory import keep_freed_memory
from benchmark.meter import peak_bytes
from benchmark.metric import KLDivergence
from benchmark.models.loading import LanguageModel, load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.prompts.batch import Batch
from benchmark.prompts.random_batch import random_batch
from benchmark.seeds import generator

SIZES = {
    "small": dict(n_layers=4, n_heads=8, d_model=128, d_mlp=512, d_vocab=1000),
    "gpt2": dict(n_layers=12, n_heads=12, d_model=768, d_mlp=3072, d_vocab=50257),
}
BARS = {
    "masked_forward": 1.6,
    "masked_forward_with_corrupted": 2.6,
    "circuit_forward": 1.4,
    "circuit_forward_with_corrupted": 2.4,
    "masked_forward_backward": 3.5,
}
# Tokens of a prompt; the share of edges in a small circuit.
N_TOKENS, FEW = 20, 0.01
ROWS = {1: (8, 1), 60: (5, 12)}  # rows: (prompts, masks)


@dataclass
class Result:
    """One line of the table."""

    operation: str
    shape: str
    rows: int
    ratio: float
    milliseconds: float
    tokens_per_second: float
    share_of_peak: float | None
    peak_mb: float


def prompts(model: LanguageModel, n_prompts: int, n_tokens: int) -> Batch:
    """Random prompts of one length, on the model's device."""
    batch = random_batch(model.shape.d_vocab, n_prompts, n_tokens, same_length=True)
    return batch.to(model.device)


def model_of(shape: str, device: str) -> LanguageModel:
    """A random GPT-2 of a size, or the model of this name or directory."""
    if shape not in SIZES:
        return load_model(shape, device=device)
    with tempfile.TemporaryDirectory() as directory:
        save_random_model(Path(directory), random_config("gpt2", **SIZES[shape]))
        return load_model(directory, device=device)


def random_masks(model: LanguageModel, n_masks: int, share: float) -> torch.Tensor:
    """Masks that keep each edge with the same probability."""
    exists = model.graph.exists
    kept = torch.rand(n_masks, *exists.shape, generator=generator(0, "bench mask")) < share
    return (kept & exists).to(model.device, model.stream_dtype)


def operations(
    model: LanguageModel, batch: Batch, n_masks: int
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The operations to time, by name."""
    mask, circuit = (random_masks(model, n_masks, share) for share in (0.5, FEW))
    corrupted = source_values(model, batch.corrupted)
    if n_masks == 1:
        yield "forward_backward", lambda: forward_backward(model, batch)
        yield "forward_backward_weights", lambda: forward_backward_weights(model, batch)
        yield "circuit_forward", lambda: masked_forward(model, batch, circuit, corrupted)
        yield "circuit_forward_with_corrupted", lambda: with_corrupted(model, batch, circuit)
    yield "masked_forward", lambda: masked_forward(model, batch, mask, corrupted)
    yield "masked_forward_with_corrupted", lambda: with_corrupted(model, batch, mask)
    yield "masked_forward_backward", lambda: masked_forward_backward(model, batch, mask)


def forward_backward(model: LanguageModel, batch: Batch) -> None:
    """A plain Hugging Face forward and backward pass to the activations."""
    embedding = model.hugging_face.get_input_embeddings()(batch.clean).requires_grad_()
    logits = model.hugging_face(inputs_embeds=embedding, use_cache=False).logits
    loss(logits[:, -1], batch).backward()


def forward_backward_weights(model: LanguageModel, batch: Batch) -> None:
    """A plain Hugging Face forward and backward pass to activations and weights."""
    model.hugging_face.requires_grad_(True)
    forward_backward(model, batch)
    model.hugging_face.requires_grad_(False)
    model.hugging_face.zero_grad(set_to_none=True)


@torch.no_grad()
def masked_forward(
    model: LanguageModel, batch: Batch, mask: torch.Tensor, values: SourceValues
) -> None:
    """One masked pass with the counterfactual values given."""
    masked_logits(model, mask, batch, values)


def with_corrupted(model: LanguageModel, batch: Batch, mask: torch.Tensor) -> None:
    """One masked pass and the corrupted pass that it needs."""
    masked_forward(model, batch, mask, source_values(model, batch.corrupted))


def masked_forward_backward(model: LanguageModel, batch: Batch, mask: torch.Tensor) -> None:
    """One masked pass with constants, and its gradient for mask and constants."""
    mask = mask.clone().requires_grad_()
    zeros = zero_values(model.shape, keep_first=True, device=model.device)
    values = zeros.map(lambda value: (value + 0.1).to(model.stream_dtype).requires_grad_())
    logits = masked_logits(model, mask, batch, values)
    loss(logits, batch).backward()


def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The loss gap to a model that predicts all tokens alike."""
    return KLDivergence()(logits, batch, torch.zeros_like(logits)).sum()


def multiply_adds(model: LanguageModel, rows: int, n_tokens: int) -> float:
    """The arithmetic of one masked pass without gradient; see benchmark/forward/passes.py."""
    shape = model.shape
    block = 4 * shape.d_model**2 + 2 * shape.d_model * shape.d_mlp
    attention = shape.n_heads * n_tokens * shape.d_head
    mixing = model.graph.n_edges * shape.d_model
    per_position = mixing + shape.n_layers * (block + attention)
    return rows * (n_tokens * per_position + shape.d_model * shape.d_vocab)


def matmul_peak(device: torch.device) -> float:
    """Multiply-adds per second of one large matrix product in float32."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device)
    elapsed = min(seconds(lambda: a @ a, device, elapsed=True) for _ in range(10))
    return size**3 / elapsed


def seconds(work: Callable[[], object], device: torch.device, elapsed: bool = False) -> float:
    """CPU time of one call; elapsed time on a GPU or if asked for."""
    clock = time.perf_counter if elapsed or device.type != "cpu" else time.process_time
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def measure(
    model: LanguageModel, shape: str, rows: int, n_tokens: int, rounds: int
) -> Iterator[Result]:
    """Time all operations of one shape and number of rows against plain forward passes."""
    n_prompts, n_masks = ROWS[rows]
    batch = prompts(model, n_prompts, n_tokens)

    @torch.no_grad()
    def plain() -> None:
        model.hugging_face(batch.clean, use_cache=False)

    peak = matmul_peak(model.device)
    n_rows = n_prompts * n_masks
    for name, work in operations(model, batch, n_masks):
        plain()
        work()
        pairs = [(seconds(work, model.device), seconds(plain, model.device)) for _ in range(rounds)]
        took = statistics.median(
            seconds(work, model.device, elapsed=True) for _ in range(max(rounds // 3, 1))
        )
        arithmetic = multiply_adds(model, n_rows, n_tokens) if name == "masked_forward" else None
        yield Result(
            operation=name,
            shape=shape,
            rows=rows,
            ratio=round(statistics.median(a / b for a, b in pairs) / n_masks, 3),
            milliseconds=round(1e3 * took, 2),
            tokens_per_second=round(n_rows * n_tokens / took),
            share_of_peak=None if arithmetic is None else round(arithmetic / took / peak, 3),
            peak_mb=peak_bytes() >> 20,
        )


def table(results: list[Result]) -> Table:
    """The results as a table for the terminal."""
    out = Table(Column("operation", no_wrap=True))
    for name in ("shape", "rows", "ratio", "bar", "ms", "tokens/s", "share", "MB"):
        out.add_column(name)
    for r in results:
        share = "-" if r.share_of_peak is None else r.share_of_peak
        cells = [r.operation, r.shape, r.rows, r.ratio, BARS.get(r.operation, "-")]
        cells += [r.milliseconds, f"{r.tokens_per_second:,.0f}", share, r.peak_mb]
        out.add_row(*map(str, cells))
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--shapes", nargs="+", default=list(SIZES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=N_TOKENS)
    parser.add_argument("--rounds", type=int, default=0, help="0: 30 for small, 5 for others")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    results = []
    for shape in options.shapes:
        model = model_of(shape, options.device)
        for rows in ROWS:
            rounds = options.rounds or (30 if shape == "small" else 5)
            results += measure(model, shape, rows, options.tokens, rounds)
    # Wide enough that no figure is cut off where the terminal is narrow or not one.
    Console(width=max(Console().width, 112)).print(table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
