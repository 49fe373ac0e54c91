"""Whether a file quotes its values: RFC 4180 in comma-separated text, often not elsewhere.

In a tab-separated log a title may begin with ``"`` and mean nothing by it; read as quoting, such a
title swallows lines up to the next quote. But pandas and spreadsheets write tab-separated text with
quotes, too. So where the format leaves it open, the beginning of the file decides: quoted values
that cannot be read otherwise, against quotes that make no sense as quoting.
"""

from __future__ import annotations

from din_core.config import Quoting
from din_core.sources.records import Record, RecordRules

#: Delimiters of the formats in which values are quoted as a rule.
QUOTED_FORMATS = frozenset({",", ";"})


def is_quoted(choice: Quoting, delimiter: str, *, header: bytes, sample: bytes, width: int) -> bool:
    """Decide whether values of a file may be quoted.

    Args:
        choice: The option.
        delimiter: What stands between two values.
        header: The header line, without its end. A quoted name in it shows quoting.
        sample: The beginning of the rows.
        width: Columns of the header.

    Returns:
        True where a value that begins with a quote is a quoted value.
    """
    if choice != "auto":
        return choice == "minimal"
    if delimiter in QUOTED_FORMATS:
        return True
    if b'"' not in header and b'"' not in sample:
        return False
    rules = RecordRules(delimiter, quoting=True, width=width)
    names = rules.line(header)
    if names is not None and names.tidy and names.values != header.split(rules.between):
        return True
    return _balance(rules, sample, width) > 0


def _balance(rules: RecordRules, sample: bytes, width: int) -> int:
    """Count the records that need quoting to be read, less those that only make sense without."""
    balance = position = 0
    while (quote := sample.find(b'"', position)) >= 0:
        position = sample.rfind(b"\n", position, quote) + 1 or position
        record = rules.record(sample, position, len(sample))
        if record is None:
            record = Record(sample.find(b"\n", position) % (len(sample) + 1), None)
        balance += _vote(rules, record, sample[position : record.end], width)
        position = record.end + 1
    return balance


def _vote(rules: RecordRules, record: Record, text: bytes, width: int) -> int:
    """Return 1 for a record that needs quoting, -1 for one that it spoils, 0 for the others."""
    lines = [line for line in text.split(b"\n") if line.rstrip(b"\r")]
    all_rows = all(line.count(rules.between) + 1 == width for line in lines)
    if record.values is None or len(record.values) != width or not record.tidy:
        return -1 if all_rows else 0
    if not all_rows:
        return 1
    if len(lines) > 1:
        return -1
    doubled = (value.strip() for value in text.split(rules.between))
    return int(any(value.startswith(b'"') and b'""' in value[1:-1] for value in doubled))
