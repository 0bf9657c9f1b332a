"""Tables and pictures of components ablated alone."""

from methods.importance.report.components.report import figures, tables

__all__ = ["figures", "tables"]
