"""Adapters from Hugging Face models to plain weights, one file a family."""
