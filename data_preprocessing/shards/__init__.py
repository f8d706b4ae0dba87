"""The preprocessing stage: training cases become shards, in a folder that says when it is complete."""
