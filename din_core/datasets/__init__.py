"""Logs to try the pipeline on: published ones, fetched, and a synthetic one, made."""
