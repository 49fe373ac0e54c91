"""The training loop and what it stands on: how weights move, and what a run leaves behind."""
