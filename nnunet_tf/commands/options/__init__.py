"""Options that a command has many of: of training, of launching workers, of the network, of a benchmark."""
