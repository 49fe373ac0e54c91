"""What comes before the first step of a run: its configuration is read, checked and settled."""
