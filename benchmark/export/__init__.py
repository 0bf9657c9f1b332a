"""Circuits of records in the forms of other tools."""
