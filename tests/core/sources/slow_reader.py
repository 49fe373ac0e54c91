"""The rules of delimited text, slowly and plainly: what the reader must agree with."""

from dataclasses import dataclass

BLANKS = " \t\n\v\f\r"
NOT_CLOSED = "a quote is opened and not closed"


@dataclass
class Row:
    """A row: its first line, how many lines it has, its text, and its fields or what is wrong."""

    line: int
    n_lines: int
    raw: str
    fields: list[str]
    problem: str = ""


def read_slowly(text, width, delimiter=",", *, quoting=True, first_line=2):
    """Read one line after the other, joined while a quote is open."""
    found, lines, at = [], text.split("\n"), 0
    while at < len(lines):
        alone = lines[at].rstrip("\r")
        if alone:
            for last in range(at, len(lines)):
                record = "\n".join(lines[at : last + 1]).rstrip("\r")
                fields, closed, tidy = split(record, delimiter, quoting=quoting)
                if closed:
                    break
            row = Row(
                first_line + at, last + 1 - at, record, [field.strip(BLANKS) for field in fields]
            )
            if not closed or (last > at and not (tidy and len(fields) == width)):
                row = Row(first_line + at, 1, alone, [], NOT_CLOSED)
            elif len(fields) != width:
                row.problem = f"expected {width} fields, found {len(fields)}"
            found.append(row)
            at += row.n_lines - 1
        at += 1
    return found


def split(record, delimiter=",", *, quoting=True):
    """Split a record; say whether its quotes are closed, and whether they end their values."""
    blanks = " \t".replace(delimiter, "")
    fields, at, tidy = [], 0, True
    while True:
        value, first = "", at
        while record[first : first + 1] and record[first] in blanks:
            first += 1
        if quoting and record[first : first + 1] == '"':
            at = first + 1
            while at < len(record):
                if record[at] != '"':
                    value, at = value + record[at], at + 1
                elif record[at + 1 : at + 2] == '"':
                    value, at = value + '"', at + 2
                else:
                    break
            if at == len(record):
                return fields, False, tidy
            at += 1
            after = record[at:].lstrip(blanks)
            tidy &= after == "" or after.startswith(delimiter)
        end = record.find(delimiter, at)
        fields.append(value + (record[at:] if end < 0 else record[at:end]))
        if end < 0:
            return fields, True, tidy
        at = end + len(delimiter)
