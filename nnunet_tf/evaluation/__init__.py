"""Scores, their summaries, and pictures."""
