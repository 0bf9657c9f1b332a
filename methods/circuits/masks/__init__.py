"""Masks that are trained: their parameters, prices, targets and schedules."""
