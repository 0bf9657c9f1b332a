"""Adapters from Hugging Face models to plain weights, one file a family, named by `model_type`."""
