"""Where a record of a text file ends, and what its values are: the rules of delimited text.

- A value is quoted when it *begins* with ``"``, blanks before it aside; ``""`` inside is one quote.
- A record that spans lines counts as one row, at its first line.
- A quote that is not closed rejects its own line and nothing else; reading goes on with the next
  line. The same holds where a record over several lines has not as many values as the header, or
  goes on after a closing quote: then the quote was a slip, not a quoted line break.
- In a file without quoting a quote is a character like any other, and a record is a line.

A record over several lines is given up at the first thing that does not fit. Each line that opens a
quote also closes the one before it, so the text is walked a bounded number of times however many
quotes stay open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """A record, taken apart.

    Attributes:
        end: Where it ends in the text, the line end not included.
        values: Its values, blanks around them included; None where a quote of its first line is
            opened and not closed, so that ``end`` is the end of that line.
        tidy: Whether each closing quote ends its value: not so in ``"3"4``, which reads ``34``.
        stray: Whether a carriage return stands outside quotes and not at the end of a line.
    """

    end: int
    values: list[bytes] | None
    tidy: bool = True
    stray: bool = False


class RecordRules:
    """The rules for one file.

    Args:
        delimiter: What stands between two values.
        quoting: Whether values may be quoted.
        width: Values of a record over several lines; None for any number.
    """

    def __init__(self, delimiter: str, *, quoting: bool, width: int | None) -> None:
        self.between = delimiter.encode()
        self.quoting = quoting
        self.width = width
        blanks = {" ": rb"\t*+", "\t": rb"[ ]*+"}.get(delimiter, rb"[ \t]*+")
        between = re.escape(self.between)
        # Possessive throughout: a value either matches at once or its quote is not closed.
        plain = (rb"(?:(?!%b)[^\n])*+" if len(self.between) > 1 else rb"[^%b\n]*+") % between
        inside = rb'[^"\n]*+(?:""[^"\n]*+)*+'
        self._one_line = re.compile(
            rb'%b"(%b)"(%b)|(?!%b")(%b)' % (blanks, inside, plain, blanks, plain)
        )
        self._open = re.compile(rb'%b"' % blanks)
        self._inside = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
        self._blank_quote = re.compile(rb'(?:\A|\n|%b)(?!")%b"' % (between, blanks))
        self._after = re.compile(rb"%b(?:(%b)|\r*+(?:\n|\Z))" % (blanks, between))

    def record(self, text: bytes, start: int, stop: int) -> Record | None:
        """Take the record that begins at ``start`` apart.

        Args:
            text: The text.
            start: Where the record begins.
            stop: Where the text ends for now: after a line feed, or at the end of the file.

        Returns:
            The record; None where a quote is still open at ``stop``.
        """
        line_end = text.find(b"\n", start, stop)
        line_end = stop if line_end < 0 else line_end
        record = self.line(text[start:line_end].rstrip(b"\r"), line_end)
        if record is not None:
            return record
        if line_end == stop:
            return None
        return self._over_lines(text, start, stop, line_end)

    def line(self, content: bytes, end: int = 0) -> Record | None:
        """Take a line apart, given without its end; None where a quote is not closed in it."""
        if not self.quoting or b'"' not in content:
            return Record(end, content.split(self.between), stray=b"\r" in content)
        values: list[bytes] = []
        position, tidy, stray = 0, True, False
        while True:
            match = self._one_line.match(content, position)
            if match is None:
                return None
            quoted, rest, plain = match.groups()
            if quoted is None:
                values.append(plain)
                stray = stray or b"\r" in plain
            else:
                tidy = tidy and not rest.strip()
                stray = stray or b"\r" in rest
                values.append(quoted.replace(b'""', b'"') + rest)
            if match.end() == len(content):
                return Record(end, values, tidy, stray)
            position = match.end() + len(self.between)

    def has_blank_before_quote(self, text: bytes) -> bool:
        """Tell whether a value is, or seems to be, quoted after blanks."""
        seen = b' "' in text or (b'\t"' in text and self.between != b"\t")  # fast, and rarely there
        return seen and self._blank_quote.search(text) is not None

    def _over_lines(self, text: bytes, start: int, stop: int, line_end: int) -> Record | None:
        slip = Record(line_end, None)
        values: list[bytes] = []
        position, widest, stray = start, self.width if self.width is not None else stop, False
        while len(values) < widest:
            opened = self._open.match(text, position, stop)
            if opened is None:
                end = text.find(b"\n", position, stop)
                end = stop if end < 0 else end
                between = text.find(self.between, position, end)
                value = text[position : end if between < 0 else between]
                value = value if between >= 0 else value.rstrip(b"\r")
                values.append(value)
                stray = stray or b"\r" in value
                if between < 0:
                    break
                position = between + len(self.between)
                continue
            inside = self._inside.match(text, opened.end(), stop)
            end = inside.end() if inside else stop
            if end == stop:
                return None
            after = self._after.match(text, end + 1, stop)
            if after is None:
                return slip
            values.append(text[opened.end() : end].replace(b'""', b'"'))
            position = after.end()
            if after[1] is None:
                # \Z in the pattern is the end of the file, where no line feed stands.
                end = position - text.endswith(b"\n", end, position)
                break
        else:
            return slip
        whole = self.width in (None, len(values))
        return Record(end, values, stray=stray) if whole else slip
