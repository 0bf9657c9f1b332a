"""A small random GPT-Neo model in double precision, with a window in one layer."""

import pytest
import torch
from transformers import AutoConfig
from transformers.models.auto import AutoModelForCausalLM

N_LAYERS, WIDTH, NEURONS = 3, 32, 48


@pytest.fixture
def neo():
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gpt_neo", vocab_size=50, num_layers=N_LAYERS, num_heads=4, hidden_size=WIDTH,
        intermediate_size=NEURONS, max_position_embeddings=16, window_size=4,
        attention_types=[[["global", "local", "global"], 1]], initializer_range=0.3,
        resid_dropout=0.0, embed_dropout=0.0, attention_dropout=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, dtype=torch.float64)


@pytest.fixture
def tokens():
    return torch.randint(0, 50, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def masks():
    """Random masks of every layer, different at every position."""
    draw = torch.Generator().manual_seed(2)
    shapes = [(3, 11, WIDTH), (3, 11, NEURONS)]
    return [
        tuple(torch.randint(0, 2, shape, generator=draw).double() for shape in shapes)
        for _ in range(N_LAYERS)
    ]
