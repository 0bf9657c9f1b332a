"""The card of a zoo model: what made it, and how well it does its tasks on held-out prompts.

`card.json` is for programs, `README.md` says the same to readers. Scores are measured on the
saved model, loaded as any user would load it.
"""

import json
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmark.config import configured
from benchmark.evaluation.tasks import score_model
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split


def write_card(
    directory: Path, name: str, facts: dict[str, Any], tasks: list[str], n_prompts: int
) -> None:
    """Score the model in `directory` and write its card there, with `facts` on its making."""
    model = load_model(directory, device="cpu")
    chosen = (configured("task", name) for name in tasks)
    scores = [score_model(model, task, Split.test, n_prompts) for task in chosen]
    card = {
        "name": name,
        "parameters": model.hugging_face.num_parameters(),
        "edges": model.graph.n_edges,
        **facts,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "scores": [found.facts() for found in scores],
    }
    (directory / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    (directory / "README.md").write_text(_readme(card))


def _readme(card: dict[str, Any]) -> str:
    learnt_texts = "mixture" in card.get("settings", {})
    unseen = ", which the training texts do not contain" if learnt_texts else ""
    head = f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# {card["name"]}

{card["parameters"]:,} parameters, {card["edges"]:,} edges. Made by `{card["command"]}`.

Scores on test prompts{unseen}; *metric* on clean and on corrupted prompts, both with the clean
prompt's answers; *flipped* is the share of corrupted prompts that get their own answer.

| task | prompts | accuracy | metric | clean | corrupted | flipped |
|---|---|---|---|---|---|---|
"""
    rows = [
        f"| {s['task']} | {s['n_prompts']} | {s['accuracy']:.3f} | {s['metric']} | "
        f"{s['clean']:.2f} | {s['corrupted']:.2f} | "
        f"{'-' if s['flipped'] is None else format(s['flipped'], '.3f')} |"
        for s in card["scores"]
    ]
    made = {key: card[key] for key in ("seed", "data_hash", "steps", "seconds") if key in card}
    tail = ["", *(f"- {key.replace('_', ' ')}: {value}" for key, value in made.items())]
    found = card.get("interchange", {})
    causal = [f"- {name.replace('_', ' ')}: {value:.3f}" for name, value in found.items()]
    return "\n".join([head + "\n".join(rows), *tail, *causal]) + "\n"
