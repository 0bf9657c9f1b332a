"""What gates say beyond what they switch: live units, and next tokens told by masks alone.

If a linear probe predicts the next token from the masks better than from nothing, masks carry
information from the pass that made them, which is what the authors call leakage.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.pretraining.self_ablation.model import SelfAblatingModel, live_fractions
from benchmark.prompts.batch import Batch
from benchmark.seeds import derived_seed, generator

STEPS, ROWS, RATE, DECAY = 300, 128, 0.01, 1e-3


@torch.no_grad()
def of_both_streams(gated: SelfAblatingModel, text: Sequence[Batch]) -> dict[str, float]:
    """The ablated stream's perplexity, and the shares of units that are on for some token."""
    loss, n_targets, live = 0.0, 0, []
    for batch in text:
        tokens = batch.clean.to(gated.model.device)
        streams = gated(tokens)
        assert streams.ablated is not None
        real = batch.real.to(tokens.device)
        targets = torch.where(real[:, 1:], tokens[:, 1:], -100)
        logits = gated.logits(streams.ablated.final)[:, :-1]
        loss += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
        ).item()
        n_targets += int(real[:, 1:].sum())
        live.append(live_fractions(streams.masks, real))
    attention, neurons = (sum(column) / len(live) for column in zip(*live, strict=True))
    perplexity = float(torch.tensor(loss / n_targets).exp())
    return {
        "perplexity_ablated": perplexity,
        "live_attention": attention,
        "live_neurons": neurons,
    }


def leakage(
    gated: SelfAblatingModel, train: Sequence[Batch], test: Sequence[Batch], seed: int
) -> dict[str, float]:
    """How many nats the masks alone tell of the next token, on held-out text.

    The loss of a linear probe of all layers' masks, below that of the tokens' frequencies in the
    probe's training text (each counted once more, so that none is impossible).
    """
    masks, targets = _masks(gated, train)
    other_masks, other_targets = _masks(gated, test)
    torch.manual_seed(derived_seed(seed, "probe of masks"))
    probe = torch.nn.Linear(masks.shape[1], gated.model.config.vocab_size)
    _train(probe, masks, targets, seed)
    with torch.no_grad():
        told = torch.nn.functional.cross_entropy(probe(other_masks), other_targets).item()
    frequencies = torch.bincount(targets, minlength=probe.out_features).double() + 1
    untold = -(frequencies / frequencies.sum()).log()[other_targets].mean().item()
    return {"leakage": untold - told}


@torch.no_grad()
def _masks(
    gated: SelfAblatingModel, text: Sequence[Batch]
) -> tuple[Float[Tensor, "tokens units"], Int[Tensor, " tokens"]]:
    """The masks of all layers at every token that another one follows, and the next token."""
    found, following = [], []
    for batch in text:
        tokens = batch.clean.to(gated.model.device)
        layers = [mask[:, :-1] for layer in gated(tokens).masks for mask in layer]
        followed = batch.real.to(tokens.device)[:, 1:]
        found.append(torch.cat(layers, -1)[followed].float().cpu())
        following.append(tokens[:, 1:][followed].cpu())
    return torch.cat(found), torch.cat(following)


def _train(probe: torch.nn.Linear, inputs: Tensor, targets: Tensor, seed: int) -> None:
    optimiser = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        draw = generator(seed, "rows of probe", step)
        rows = torch.randint(len(inputs), (ROWS,), generator=draw)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(probe(inputs[rows]), targets[rows]).backward()
        optimiser.step()
