"""Reading a log, whatever it looks like, with every row accounted for.

:func:`ingest` makes the tables ``interactions`` and ``rejected_rows``. Text goes through
:mod:`~din_core.sources.csv_blocks` block by block, Parquet through
:mod:`~din_core.sources.parquet_rows`; which rows can be used is decided in ``sql/ingest``.
"""

from din_core.sources.accounts import IngestReport, ReadFile, Rejection, SourceReport
from din_core.sources.errors import SourceError
from din_core.sources.ingestion import fingerprint, ingest, ingest_context, stage
from din_core.sources.looks import SourceLook, look_at
from din_core.sources.staged_source import Progress

__all__ = [
    "IngestReport",
    "Progress",
    "ReadFile",
    "Rejection",
    "SourceError",
    "SourceLook",
    "SourceReport",
    "fingerprint",
    "ingest",
    "ingest_context",
    "look_at",
    "stage",
]
