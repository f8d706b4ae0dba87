"""The network in training, its checkpoint, and the weights it starts from."""
