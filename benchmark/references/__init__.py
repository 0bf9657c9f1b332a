"""Circuits known beforehand: of papers on GPT-2 small, and those that models were built with."""
