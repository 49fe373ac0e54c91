"""What a run stands on: its folder and lock, its choices, and the runs before it and beside it."""
