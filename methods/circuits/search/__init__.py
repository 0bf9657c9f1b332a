"""The search of ACDC."""
