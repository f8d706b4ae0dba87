"""A data set: dataset.json, its cases and their names, and its verification before any work is done."""
