"""What an option is: its type, its range, and the sentence that refuses a value."""

from __future__ import annotations

import difflib
import math
import types
from dataclasses import MISSING, dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin

_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_PLURALS = {int: "integers", float: "numbers", str: "texts"}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Where a number may lie; of a list, where each of its numbers may.

    Attributes:
        ge: It is at least this.
        gt: It is larger than this.
        le: It is at most this.
        lt: It is smaller than this.
        min_length: A list has at least so many items.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int = 0

    def contain(self, number: float) -> bool:
        """Say whether a number is finite and inside."""
        return (
            math.isfinite(number)
            and (self.ge is None or number >= self.ge)
            and (self.gt is None or number > self.gt)
            and (self.le is None or number <= self.le)
            and (self.lt is None or number < self.lt)
        )

    def phrase(self, *, whole: bool) -> str:
        """Say them, to follow a noun: ``from 1 to 1024``; empty where there are none.

        Args:
            whole: Whether the numbers are integers: what lies below 10 then goes up to 9.
        """
        most = self.le
        if whole and self.lt is not None:
            most = math.ceil(self.lt) - 1
        if self.ge is not None and most is not None:
            return f"from {self.ge} to {most}"
        parts = [
            f"{words} {bound}"
            for words, bound in (
                ("of at least", self.ge),
                ("above", self.gt),
                ("of at most", most),
                ("below", None if whole else self.lt),
            )
            if bound is not None
        ]
        return " and ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Option:
    """All that is known of an option.

    Attributes:
        name: Name of the field.
        kind: Its type: ``bool``, ``int``, ``float``, ``str``, a ``Literal``, a tuple of one of
            them, or one of these or ``None``.
        default: Its default; ``dataclasses.MISSING`` where it has to be given.
        description: What it means, with its unit.
        bounds: Where its numbers may lie.
        decides: Whether another value can give another result.
    """

    name: str
    kind: Any
    default: Any
    description: str
    bounds: Bounds
    decides: bool = True

    @property
    def text(self) -> str:
        """What it means and, of numbers, where they may lie."""
        if not self.numbers:
            return self.description
        allowed = self.allowed()
        return f"{self.description} {allowed[0].upper()}{allowed[1:]}."

    @property
    def numbers(self) -> bool:
        """Whether it is a number, or a list of them."""
        return (_items_of(self.kind) or self.kind) in (int, float)

    def allowed(self) -> str:
        """Say what it may be, to follow *must be*: ``an integer from 1 to 1024``."""
        kinds = _alternatives(self.kind)
        said = [self._allowed(kind) for kind in kinds if kind is not types.NoneType]
        return " or ".join([*said, *(["None"] if types.NoneType in kinds else [])])

    def _allowed(self, kind: Any) -> str:
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(map(repr, get_args(kind)))
        item = _items_of(kind)
        said = self.bounds.phrase(whole=(item or kind) is int)
        if item is None:
            return f"{_NOUNS[kind]} {said}".rstrip()
        least = f"{self.bounds.min_length} or more " if self.bounds.min_length else ""
        if get_origin(item) is Literal:
            return f"a list of {least}{', '.join(map(repr, get_args(item)))}"
        return f"a list of {least}{_PLURALS[item]}" + (f", each {said}" if said else "")

    def takes(self, value: object) -> bool:
        """Say whether a value is of its type and inside its range; a list stands for a tuple."""
        return any(self._takes(kind, value) for kind in _alternatives(self.kind))

    def _takes(self, kind: Any, value: object) -> bool:
        if get_origin(kind) is Literal:
            return isinstance(value, str) and value in get_args(kind)
        if (item := _items_of(kind)) is not None:
            return (
                isinstance(value, (tuple, list))
                and len(values := cast("tuple[object, ...]", value)) >= self.bounds.min_length
                and all(self._takes(item, each) for each in values)
            )
        if kind in (int, float):
            is_one = isinstance(value, int if kind is int else (int, float))
            return (
                is_one and not isinstance(value, bool) and self.bounds.contain(cast("Any", value))
            )
        return isinstance(value, kind)

    def refusal(self, value: object, *, called: str | None = None) -> str | None:
        """Say what is wrong with a value, and the way out; None where nothing is.

        Args:
            value: What was chosen.
            called: The option's name where the caller knows it by another one.
        """
        if self.takes(value):
            return None
        way_out = "" if self.default is MISSING else f"; the default is {self.default!r}"
        if (meant := self._as_meant(value)) is not None and self.takes(meant):
            way_out = f"; YAML reads it as another type: write {_in_yaml(meant)}"
        elif self.takes([value]):
            way_out = f"; write {_in_yaml([value])}"
        elif _has_truth(value) and (self.takes("") or self.takes([""])):
            way_out = "; YAML reads a bare yes, no, on or off as true or false: put it in quotes"
        if isinstance(value, str) and get_origin(self.kind) is Literal:
            for close in difflib.get_close_matches(value, get_args(self.kind), n=1):
                way_out = f"; is {close!r} meant?"
        return f"{called or self.name} is {value!r}, must be {self.allowed()}{way_out}"

    def _as_meant(self, value: object) -> object:
        """What a YAML file meant by a text for a number or a number for a text, else None."""
        for kind in _alternatives(self.kind):
            item = _items_of(kind)
            if item is not None and isinstance(value, (list, tuple)):
                values = cast("list[object]", list(cast("Any", value)))
                return [_read_as(item, each) for each in values]
            if (meant := _read_as(kind, value)) != value:
                return meant
        return None


def _has_truth(value: object) -> bool:
    """Whether a value is true or false, or a list that holds one of them."""
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return any(isinstance(each, bool) for each in values)


def _read_as(kind: Any, value: object) -> object:
    """A text as the number or truth value that it spells, a number as a text; else as it is."""
    if isinstance(value, str) and kind in (int, float):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() and kind is int else number
    if isinstance(value, str) and kind is bool:
        return {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and kind is str:
        return str(value)
    return value


def _in_yaml(value: object) -> str:
    """Write a value as a YAML file takes it: a number without a dot before its e is text there."""
    if isinstance(value, list):
        return f"[{', '.join(map(_in_yaml, cast('list[object]', value)))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and "." not in (said := repr(value)):
        return said.replace("e", ".0e")
    return repr(value)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of ``x | None``, or the one type."""
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _items_of(kind: Any) -> Any:
    """The type of the items of ``tuple[x, ...]``, None where it is no tuple."""
    return get_args(kind)[0] if get_origin(kind) is tuple else None
