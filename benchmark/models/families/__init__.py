"""Adapters from Hugging Face models to plain weights, one file a family, named by `model_type`.

They are found by name. Each gives a `FAMILY` (benchmark/models/family.py); llama.py is one to copy.
"""
