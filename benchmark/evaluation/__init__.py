"""How well circuits do on held-out prompts, and models on their tasks."""
