"""Passes are counted, prefix reuse by its share of layers."""

from support.prompts import random_batch
from support.values import random_masks, random_values

from benchmark.forward.passes import clean_logits, masked_logits, masked_prefix, source_values
from benchmark.meter import metering


def test_passes_are_counted(gpt2):
    batch = random_batch()
    values = random_values(gpt2, (1, 1, 1))
    masks = random_masks(gpt2.graph, 3)
    with metering() as outer, metering() as meter:
        clean_logits(gpt2, batch.clean, batch.read_at)
        assert meter.forward == 4
        source_values(gpt2, batch.clean)
        assert meter.forward == 8
        logits = masked_logits(gpt2, masks.requires_grad_(), batch, values)
        assert (meter.forward, meter.backward) == (20, 0)
        logits.sum().backward(retain_graph=True)
        assert meter.backward == 12
        prefix = masked_prefix(gpt2, masks[0].detach(), batch, values)
        masked_logits(gpt2, masks[:1].detach(), batch, values, start_layer=1, prefix=prefix)
        assert meter.forward == 20 + 4 + 2
    assert outer.forward == 26
    assert meter.seconds > 0
    assert meter.peak_bytes > 1e6
