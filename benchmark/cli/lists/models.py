"""Tables of model families and of all models, read from files; nothing heavy is imported.

A model's edges are those of its card if it ships with the suite, and otherwise of the shape that
its yaml states, or its config.json if it is a local directory.
"""

import ast
import json
import re
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Group
from rich.table import Table

from benchmark.cli.lists.tasks import first_comment
from benchmark.config import configured_names, option_text
from benchmark.graph.shape import number_of_edges
from benchmark.models.family_files import family_file, family_modules
from benchmark.models.unsupported import FEATURES
from benchmark.zoo.cards import read_card, zoo_directory

SHAPE = re.compile(r"^# Shape: (\d+) layers of (\d+) heads(, in parallel blocks)?\.$", re.MULTILINE)
# Hugging Face's names of the same two numbers.
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_head", "num_heads")


def families_and_models() -> Group:
    """The table of families and the table of models."""
    return Group(_families(), _models())


def _families() -> Table:
    caption = f"Refused by name: {', '.join(FEATURES)}."
    table = Table("model_type", "what it has", title="Families", caption=caption)
    for name, module in family_modules().items():
        table.add_row(name, _docstring(family_file(module)).partition("\n")[0])
    return table


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _models() -> Table:
    table = Table("model", "what", "edges", "parameters", "MB", "source", title="Models")
    for name in configured_names("model"):
        table.add_row(name, first_comment("model", name), *_facts(name))
    return table


def _facts(name: str) -> tuple[str, str, str, str]:
    """Edges, parameters, size and source of a model; empty where unknown."""
    text = option_text("model", name)
    source = str(OmegaConf.create(text).name)
    shipped = zoo_directory(source)
    if shipped is None:
        edges = _edges(text, Path(source) / "config.json")
        return f"{edges:,}" if edges else "", "", "", source
    card = read_card(shipped)
    size = sum(file.stat().st_size for file in shipped.iterdir()) / 1e6
    return f"{card['edges']:,}", f"{card['parameters']:,}", f"{size:.1f}", "zoo"


def _edges(text: str, config: Path) -> int | None:
    stated = SHAPE.search(text)
    if stated is not None:
        return number_of_edges(int(stated[1]), int(stated[2]), stated[3] is not None)
    if not config.is_file():
        return None
    whole = json.loads(config.read_text())
    facts = whole.get("text_config", whole)
    n_layers, n_heads = (
        next((facts[key] for key in keys if key in facts), None) for keys in (LAYERS, HEADS)
    )
    if n_layers is None or n_heads is None:
        return None
    parallel = facts.get("model_type") == "gpt_neox" and facts.get("use_parallel_residual", True)
    return number_of_edges(n_layers, n_heads, parallel)
