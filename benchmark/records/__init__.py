"""The record of one cell and its folder; read without torch."""
