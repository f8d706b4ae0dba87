"""From the fingerprint of a data set to the plan of its networks."""
