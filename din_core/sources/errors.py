"""The one error of reading a source: what is wrong, where, and the way out."""

from __future__ import annotations

from din_core.errors import DinError


class SourceError(DinError, ValueError):
    """A source that cannot be used at all; single bad rows never raise it."""
