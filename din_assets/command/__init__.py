"""The command line `din`: runs that make what changed, and nothing else."""
