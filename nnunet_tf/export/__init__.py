"""Models for other programs: the network, what comes before and after it, and an example that does both."""
