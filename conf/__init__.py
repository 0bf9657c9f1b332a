"""Hydra configuration; a package so that an installed command finds it as pkg://conf."""
