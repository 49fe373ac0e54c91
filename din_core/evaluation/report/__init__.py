"""The report: one page of HTML that says to a reader without the tools what a run came to."""

from din_core.evaluation.report.contents import read
from din_core.evaluation.report.page import FILE, render

__all__ = ["FILE", "read", "render"]
