"""The training loop and what happens at the end of its epochs."""
