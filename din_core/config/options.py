"""How an option is declared, described and refused: everything that is said of it stands once.

An option is a field of a frozen dataclass, declared with :func:`option`: its default, what it
means, and its range. From there come the class's ``help()``, the launchpad of the asset layer, and
the sentence that refuses a value (:func:`validate`). This module knows no single option.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from din_core.errors import RefusedOptionsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
C = TypeVar("C")
D = TypeVar("D", bound="DataclassInstance")

_KEY = "din option"
_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_PLURALS = {int: "integers", float: "numbers", str: "texts"}


class OptionsError(RefusedOptionsError, ValueError):
    """An option that cannot be used; the message names it, its value, its range and a way out."""


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
    """

    name: str
    kind: Any
    default: Any
    description: str
    bounds: Bounds

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
        if isinstance(value, str) and get_origin(self.kind) is Literal:
            for close in difflib.get_close_matches(value, get_args(self.kind), n=1):
                way_out = f"; is {close!r} meant?"
        return f"{called or self.name} is {value!r}, must be {self.allowed()}{way_out}"


@runtime_checkable
class _Contradictory(Protocol):
    """A configuration that has rules over several options."""

    def contradiction(self) -> str | None:
        """Say which options, each of them in its range, do not go together; None where all do."""
        ...


def option(
    default: T,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int = 0,
) -> T:
    """Declare an option of a :func:`config_class`.

    Only the default counts in code versions: a description, like a docstring, and a range, which
    refuses values before anything runs, change no result.

    Args:
        default: Its default.
        description: What it means, with its unit, in sentences; the range is said by itself.
        ge: A number is at least this; of a list, each one is.
        gt: Likewise, larger than this.
        le: Likewise, at most this.
        lt: Likewise, smaller than this.
        min_length: A list has at least so many items.

    Returns:
        The field, typed as its default so that the type checker compares it with the annotation.
    """
    bounds = Bounds(ge=ge, gt=gt, le=le, lt=lt, min_length=min_length)
    return field(default=default, metadata={_KEY: (description, bounds)})


def required(description: str) -> Any:
    """Declare an option that has no default, likewise.

    Args:
        description: As of :func:`option`.
    """
    return field(metadata={_KEY: (description, Bounds())})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(required,))
def config_class(cls: type[C]) -> type[C]:
    """Make a frozen, keyword-only dataclass, its options described in its docstring.

    Example:
        >>> @config_class
        ... class Tea:
        ...     \"\"\"How tea is made.\"\"\"
        ...
        ...     minutes: int = option(3, "Minutes it draws.", ge=1, le=10)
        >>> print(Tea.__doc__)
        How tea is made.
        <BLANKLINE>
        Attributes:
            minutes: Minutes it draws. An integer from 1 to 10.
        <BLANKLINE>
        >>> validate(Tea(minutes=0))
        Traceback (most recent call last):
            ...
        din_core.config.options.OptionsError: minutes is 0, must be an integer from 1 to 10; the \
default is 3
    """
    made = dataclass(frozen=True, kw_only=True)(cls)
    if made.__doc__:  # not under python -OO
        made.__doc__ = _with_attributes(made.__doc__, described_options(cast("Any", made)))
    return made


def _with_attributes(doc: str, options: Mapping[str, Option]) -> str:
    entries = (f"{each.name}: {each.text}" for each in options.values())
    wrapped = (
        textwrap.fill(
            each,
            100,
            initial_indent=" " * 4,
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for each in entries
    )
    return "\n".join([doc.rstrip(), "", "Attributes:", *wrapped, ""])


@functools.cache
def described_options(cls: type[DataclassInstance]) -> Mapping[str, Option]:
    """Return the options of a class, by name, in its order.

    Args:
        cls: A :func:`config_class`.

    Raises:
        TypeError: A field was not declared with :func:`option`.
    """
    return types.MappingProxyType({each.name: each for each in _options(cls)})


def _options(cls: type[DataclassInstance]) -> Iterator[Option]:
    kinds = get_type_hints(cls)
    for each in dataclasses.fields(cls):
        if _KEY not in each.metadata:
            raise TypeError(f"{cls.__name__}.{each.name}: declare it with option(default, ...)")
        description, bounds = each.metadata[_KEY]
        yield Option(
            name=each.name,
            kind=kinds[each.name],
            default=each.default,
            description=description,
            bounds=bounds,
        )


def validate(config: DataclassInstance) -> None:
    """Refuse what a configuration must not hold: a type, a value, or values that contradict.

    Args:
        config: An object of a :func:`config_class`.

    Raises:
        OptionsError: The first option that is wrong is named, with its value and its range.
    """
    for each in described_options(type(config)).values():
        if sentence := each.refusal(getattr(config, each.name)):
            raise OptionsError(sentence)
    refuse_contradiction(config)


def refuse_contradiction(config: DataclassInstance) -> None:
    """Refuse values that do not go together, each of them in its range.

    Args:
        config: An object of a :func:`config_class`; without a method ``contradiction`` it has none.

    Raises:
        OptionsError: The message is what ``contradiction`` says.
    """
    if isinstance(config, _Contradictory) and (sentence := config.contradiction()):
        raise OptionsError(sentence)


def config_from_mapping(cls: type[D], values: Mapping[str, Any]) -> D:
    """Build a configuration from those values that it has fields for; lists become tuples.

    Args:
        cls: A :func:`config_class`.
        values: Options by name, of this class and others. They are not validated here.

    Example:
        >>> from din_core.config import SequenceConfig
        >>> config_from_mapping(SequenceConfig, {"max_history": 7, "unrelated": True}).max_history
        7
    """
    names = {each.name for each in dataclasses.fields(cls)}
    return cls(**{name: as_tuple(value) for name, value in values.items() if name in names})


def as_tuple(value: object) -> object:
    """Return a list as a tuple, as a frozen configuration holds it; anything else as it is."""
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of ``x | None``, or the one type."""
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _items_of(kind: Any) -> Any:
    """The type of the items of ``tuple[x, ...]``, None where it is no tuple."""
    return get_args(kind)[0] if get_origin(kind) is tuple else None
