"""Made-up data sets: the phantom, and what can be wrong with real ones."""
