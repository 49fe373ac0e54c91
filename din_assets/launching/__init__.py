"""Training in several processes: torchrun starts them, Dagster Pipes brings back what they tell."""
