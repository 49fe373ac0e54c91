"""The Dagster layer: thin assets over :mod:`din_core`."""
