"""Training: the loop, the end of an epoch, checkpoints, collapse."""
