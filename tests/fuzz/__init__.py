"""Damaged inputs of every kind, against every reader: each is read or refused in one line."""
