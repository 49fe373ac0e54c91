"""What of the source runs: hashes that change when behaviour can, and not when a word does."""

from din_core.code_versions.libraries import COMPUTING, ENGINES, OTHERS, versions_of
from din_core.code_versions.native import native_tokens
from din_core.code_versions.python_code import Reached, reached
from din_core.code_versions.source_files import Stamp, stamps
from din_core.code_versions.sql_templates import template_tokens

__all__ = [
    "COMPUTING",
    "ENGINES",
    "OTHERS",
    "Reached",
    "Stamp",
    "native_tokens",
    "reached",
    "stamps",
    "template_tokens",
    "versions_of",
]
