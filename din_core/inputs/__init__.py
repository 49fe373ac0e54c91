"""From tables to mini-batches: what an epoch holds, and what a step is given."""
