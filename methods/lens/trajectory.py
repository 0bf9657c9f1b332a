"""What every layer of a model would say after every token of a prompt, by one lens or several.

lens = configured("method", "oca_lens").fit(model, [batch])
rows = trajectory({"OCA": lens}, "The capital of France is")
figure = draw_trajectory(rows)
"""

from collections.abc import Mapping

import pandas as pd
import torch

from benchmark.errors import UserError
from benchmark.forward.states import states_at
from benchmark.models.loading import LanguageModel
from methods.lens.fitted import FittedLens, lens_logits
from methods.lens.report.trajectory import draw_trajectory as draw_trajectory


@torch.no_grad()
def trajectory(
    lenses: Mapping[str, FittedLens], prompt: str, *, prepend_bos: bool = True
) -> pd.DataFrame:
    """A row for each lens, layer and token: what the lens says comes next.

    Args:
        lenses: lenses of one model, by the name that they are shown under.
        prompt: a text.
        prepend_bos: begin with the tokenizer's BOS token, if it has one.

    Returns:
        Columns lens, layer (the last one is the model itself), position, token (what is read
        there), top (the likeliest next token), probability (its), entropy (in nats).

    Raises:
        UserError: there is no lens, they read different models, or the prompt is empty.
    """
    model = _model_of(lenses)
    ids = model.tokenizer.encode(prompt, add_special_tokens=False)
    bos = model.tokenizer.bos_token_id
    ids = [bos, *ids] if prepend_bos and bos is not None else ids
    if not ids:
        raise UserError("the prompt has no tokens")
    tokens = torch.tensor([ids])
    states = states_at(model, tokens, torch.ones_like(tokens, dtype=torch.bool)).before
    words = [str(model.tokenizer.decode([token])) for token in ids]
    rows = []
    for name, lens in lenses.items():
        for layer, state in enumerate(states):
            log_p = lens_logits(lens, state, layer).log_softmax(-1)
            best, top = log_p.max(-1)
            entropy = -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(-1)
            for position, word in enumerate(words):
                rows.append(
                    {
                        "lens": name,
                        "layer": layer,
                        "position": position,
                        "token": word,
                        "top": str(model.tokenizer.decode([int(top[position])])),
                        "probability": float(best[position].exp()),
                        "entropy": float(entropy[position]),
                    }
                )
    return pd.DataFrame(rows)


def _model_of(lenses: Mapping[str, FittedLens]) -> LanguageModel:
    models = {id(lens.model): lens.model for lens in lenses.values()}
    if len(models) != 1:
        raise UserError("give one or more lenses of one model")
    (model,) = models.values()
    if not isinstance(model, LanguageModel):
        raise UserError("a trajectory needs the model's tokenizer; load the model by load_model")
    return model
