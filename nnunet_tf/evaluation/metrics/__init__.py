"""Scores of one structure: Dice, surface distances."""
