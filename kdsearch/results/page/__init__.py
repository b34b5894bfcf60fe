"""Searches as one page and one picture: ``report.html``, ``report.svg``, ``report.png``."""

from kdsearch.results.page.page import write_report

__all__ = ["write_report"]
