"""Runs on prompts whose subject is corrupted, with states restored to those of the clean run."""
