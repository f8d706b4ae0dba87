"""Where the windows lie, how their logits are averaged, and the forward pass."""
