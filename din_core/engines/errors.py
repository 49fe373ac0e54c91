"""What goes wrong between us and an engine, in a sentence."""

from din_core.errors import DinError


class EngineError(DinError, RuntimeError):
    """An engine is not there, cannot be reached, or gave up; the message names the way out."""
