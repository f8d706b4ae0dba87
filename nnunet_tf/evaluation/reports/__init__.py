"""Summaries as tables, CSV, JSON and pictures."""
