"""How well circuits do on held-out prompts under an ablation: one number per circuit and prompt.

A kept source carries its live value (Li & Janson 2024, arXiv 2409.09951, section 1), and every
circuit, whatever found it, is measured by the same pass. Under optimal ablation the constants are
trained anew for each circuit from the mean, by the ablation's own recipe, many circuits side by
side, so that no method gains from constants of its own (section 3.4 there).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import Ablation, Replacement, is_trained
from benchmark.evaluation.whole_answers import (
    WHOLE_ANSWER,
    Reads,
    n_positions_with_answers,
    whole_answer_cross_entropy,
)
from benchmark.forward.memory import masks_that_fit
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.mask import EdgeMask, stack
from benchmark.metric import Metric
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer

# Held-out prompts of one pass; donors of resample ablation come from the same ones.
PROMPTS_PER_PASS = 32
# Circuits of one pass, or as many as memory allows.
CIRCUITS_PER_PASS = 8


@dataclass(frozen=True)
class HeldOut:
    """What circuits are measured on.

    Attributes:
        fit: prompts that ablations are fitted to, and constants trained on.
        test: batches of held-out prompts; see `passes`.
        metrics: what is measured, by name.
        whole_answers: whether that of whole answers is measured too; `test` must have them.
    """

    fit: Sequence[Batch]
    test: Sequence[Batch]
    metrics: dict[str, Metric]
    whole_answers: bool = False


@dataclass(frozen=True, eq=False)
class CircuitScores:
    """Every metric of circuits, and of the two ends that they lie between, by its name.

    Attributes:
        empty: of the circuit without edges.
        circuits: of the circuits, in their order.
        full: of the whole model.
    """

    empty: dict[str, Float[Tensor, " prompts"]]
    circuits: dict[str, Float[Tensor, "circuits prompts"]]
    full: dict[str, Float[Tensor, " prompts"]]


def passes(batch: Batch) -> list[Batch]:
    """Prompts as the batches of evaluation."""
    return batch.in_parts(PROMPTS_PER_PASS)


@torch.no_grad()
def full_model_scores(
    model: Transformer, held_out: HeldOut
) -> dict[str, Float[Tensor, " prompts"]]:
    """Every metric of the unablated model."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    for batch in held_out.test:
        logits = clean_logits(model, batch.clean, batch.read_at)
        for name, metric in held_out.metrics.items():
            found[name].append(metric(logits, batch, logits).cpu())
        if held_out.whole_answers:
            scores = whole_answer_cross_entropy(
                batch, lambda longer, reads: clean_logits(model, longer.clean, reads)
            )
            found[WHOLE_ANSWER].append(scores.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def circuit_scores(
    model: Transformer,
    circuits: Sequence[EdgeMask],
    ablation: Ablation,
    held_out: HeldOut,
    checkpoint: Path | None = None,
    neurons: Float[Tensor, "circuits src d_model"] | None = None,
    full: dict[str, Float[Tensor, " prompts"]] | None = None,
) -> CircuitScores:
    """Every metric of every circuit, of the empty one and of the whole model.

    Args:
        model: the model.
        circuits: masks of the model's graph.
        ablation: what absent edges carry.
        held_out: prompts and metrics.
        checkpoint: where training of constants may keep its state; a number is added.
        neurons: how much of each coordinate that a source writes each circuit keeps.
        full: what `full_model_scores` gave, which no ablation changes.
    """
    if neurons is not None:
        # Of the empty circuit any will do.
        neurons = torch.cat([torch.zeros_like(neurons[:1]), neurons])
    masks = [EdgeMask.empty(model.graph), *circuits]
    scores = _scores_of_masks(model, masks, ablation, held_out, checkpoint, neurons)
    return CircuitScores(
        empty={name: rows[0] for name, rows in scores.items()},
        circuits={name: rows[1:] for name, rows in scores.items()},
        full=full_model_scores(model, held_out) if full is None else full,
    )


def _scores_of_masks(
    model: Transformer,
    circuits: Sequence[EdgeMask],
    ablation: Ablation,
    held_out: HeldOut,
    checkpoint: Path | None,
    neurons: Float[Tensor, "circuits src d_model"] | None,
) -> dict[str, Float[Tensor, "circuits prompts"]]:
    """Every metric of every mask, as many side by side as a pass may have."""
    at_once = _circuits_per_pass(model, ablation, held_out)
    fitted = None if is_trained(ablation) else ablation.fit(model, held_out.fit)
    found: dict[str, list[Tensor]] = defaultdict(list)
    for number, start in enumerate(range(0, len(circuits), at_once)):
        chunk = slice(start, start + at_once)
        masks = stack(circuits[chunk]).to(model.device)
        kept = None if neurons is None else neurons[chunk].to(model.device)
        if is_trained(ablation):
            path = checkpoint and checkpoint.with_name(f"{checkpoint.name}.{number}")
            replacement = ablation.train(model, masks, held_out.fit, checkpoint=path, neurons=kept)
        else:
            assert fitted is not None
            replacement = fitted
        for name, scores in _scores(model, masks, kept, replacement, held_out).items():
            found[name].append(scores)
    return {name: torch.cat(parts) for name, parts in found.items()}


@torch.no_grad()
def _scores(
    model: Transformer,
    masks: Float[Tensor, "masks src dst"],
    neurons: Float[Tensor, "masks src d_model"] | None,
    replacement: Replacement,
    held_out: HeldOut,
) -> dict[str, Float[Tensor, "masks prompts"]]:
    def logits_at(longer: Batch, reads: Reads) -> Float[Tensor, "masks batch reads vocab"]:
        values = replacement(longer)
        return masked_logits(model, masks, longer, values, read_at=reads, neurons=neurons)

    found: dict[str, list[Tensor]] = defaultdict(list)
    for batch in held_out.test:
        clean = clean_logits(model, batch.clean, batch.read_at)
        logits = masked_logits(model, masks, batch, replacement(batch), neurons=neurons)
        for name, metric in held_out.metrics.items():
            found[name].append(metric(logits, batch, clean).cpu())
        if held_out.whole_answers:
            found[WHOLE_ANSWER].append(whole_answer_cross_entropy(batch, logits_at).cpu())
    return {name: torch.cat(parts, -1) for name, parts in found.items()}


def _circuits_per_pass(model: Transformer, ablation: Ablation, held_out: HeldOut) -> int:
    n_positions = max(batch.n_positions for batch in (*held_out.fit, *held_out.test))
    if held_out.whole_answers:
        n_positions = max(n_positions, *map(n_positions_with_answers, held_out.test))
    n_prompts = ablation.batch_size if is_trained(ablation) else PROMPTS_PER_PASS
    return min(CIRCUITS_PER_PASS, masks_that_fit(model, n_prompts, n_positions))
