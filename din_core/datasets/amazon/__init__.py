"""Amazon Reviews 2014, the data of the DIN paper: fetched by URL and turned into a CSV of a log.

Start at :func:`din_core.datasets.amazon.reviews.prepare`.
"""
