"""One scan through all members of an ensemble, and back to its own grid."""
