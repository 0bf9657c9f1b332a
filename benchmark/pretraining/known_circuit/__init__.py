"""Training that makes a model use a known circuit (strict interchange intervention training)."""
