"""Whole small models are trained or compiled here, with the texts that they see."""
