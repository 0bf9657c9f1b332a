"""Gemma 3 of 4B and more: the model that also sees pictures, of which only the text is read."""

from benchmark.models.families import gemma3_text
from benchmark.models.family import Family
from benchmark.models.parts import Facts

# The smallest vision model that Hugging Face builds; no prompt reaches it.
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)


def tiny_config(facts: Facts) -> Facts:
    """Gemma 3's text model inside the whole."""
    vision = VISION | dict(image_size=8, patch_size=4)
    return dict(text_config=gemma3_text.tiny_config(facts), vision_config=vision)


FAMILY = Family(gemma3_text.read, tiny_config)
