"""What restoring costs, in multiply-adds, which are the same on every machine."""

import pytest
import torch
from support.independent.tracing import batch_with_subjects, noisy_embeddings
from torch.utils.flop_counter import FlopCounterMode

from benchmark.effects.tracing.restoring import Restoration, restored_logits
from benchmark.effects.tracing.schedule import window
from benchmark.effects.tracing.trace import Restored, changed_trace, clean_trace
from benchmark.forward.passes import clean_logits
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    config = random_config("gpt2", n_layers=6)
    return load_model(save_random_model(tmp_path_factory.mktemp("deep"), config), device="cpu")


def spent(work):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("what", list(Restored))
def test_all_windows_of_one_kind_cost_six_tenths_of_whole_passes_at_most(deep, what, width):
    batch = batch_with_subjects(n_prompts=8)
    n_layers, first = deep.shape.n_layers, batch.subject[:, 0]
    layers = tuple(window(layer, width, n_layers) for layer in range(n_layers))
    embeddings = noisy_embeddings(deep, batch, n_rows=1)

    def restored():
        clean = clean_trace(deep, batch)
        corrupted = changed_trace(deep, batch, clean, embeddings, first)
        asked = Restoration(what, layers, first, batch.subject[:, 1])
        restored_logits(deep, batch, clean, corrupted, asked)

    whole = spent(lambda: clean_logits(deep, batch.clean, batch.read_at))
    assert spent(restored) < 0.6 * (n_layers + 2) * whole
