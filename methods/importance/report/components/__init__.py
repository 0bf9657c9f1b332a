"""Tables and pictures of components ablated alone, and what is measured of them."""

from methods.importance.report.components.measures import QUANTITIES, measure
from methods.importance.report.components.report import figures, tables

__all__ = ["QUANTITIES", "figures", "measure", "tables"]
