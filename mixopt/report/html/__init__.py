"""A study as one HTML page that opens from disk: question, answer, fits, curves, runs. No network, any browser."""

from mixopt.report.html.page import write_report

__all__ = ["write_report"]
