"""The report of trained models, from records alone."""
