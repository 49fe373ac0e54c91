"""The Dagster layer: thin assets over :mod:`din_core`."""

from din_assets.runs.whole_imports import import_whole

# Here, before a program of ours or of Dagster's has imported what is interrupted badly.
import_whole()
