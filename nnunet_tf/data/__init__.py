"""From shards to batches: cross-validation folds and the DALI pipeline."""
