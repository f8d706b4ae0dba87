"""Networks in plain Keras 3, built from the topology of a plan."""
