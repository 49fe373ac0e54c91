"""How an option is declared, described and refused: everything that is said of it stands once.

An option is a field of a frozen dataclass, declared with :func:`option`: its default, what it
means, and its range. From there come the class's ``help()``, the launchpad of the asset layer, and
the sentence that refuses a value (:func:`validate`). This module knows no single option.
"""

from __future__ import annotations

import dataclasses
import functools
import textwrap
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Protocol,
    TypeVar,
    cast,
    dataclass_transform,
    get_type_hints,
    runtime_checkable,
)

from din_core.config.kinds import Bounds, Option
from din_core.errors import RefusedOptionsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
C = TypeVar("C")
D = TypeVar("D", bound="DataclassInstance")

_KEY = "din option"


class OptionsError(RefusedOptionsError, ValueError):
    """An option that cannot be used; the message names it, its value, its range and a way out."""


@runtime_checkable
class _Contradictory(Protocol):
    """A configuration that has rules over several options."""

    def contradiction(self) -> str | None:
        """Say which options, each of them in its range, do not go together; None where all do."""
        ...


@runtime_checkable
class _Conditional(Protocol):
    """A configuration with options that only some values of others give an effect."""

    def without_effect(self) -> Mapping[str, str]:
        """Return the options that the others' values leave without effect, each with why."""
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
    decides: bool = True,
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
        decides: Whether another value can give another result. One that cannot, such as a timeout,
            makes nothing outdated.

    Returns:
        The field, typed as its default so that the type checker compares it with the annotation.
    """
    bounds = Bounds(ge=ge, gt=gt, le=le, lt=lt, min_length=min_length)
    return field(default=default, metadata={_KEY: (description, bounds, decides)})


def required(description: str) -> Any:
    """Declare an option that has no default, likewise.

    Args:
        description: As of :func:`option`.
    """
    return field(metadata={_KEY: (description, Bounds(), True)})


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
        description, bounds, decides = each.metadata[_KEY]
        yield Option(
            name=each.name,
            kind=kinds[each.name],
            default=each.default,
            description=description,
            bounds=bounds,
            decides=decides,
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


def refuse_contradiction(config: DataclassInstance, typed: Collection[str] = ()) -> None:
    """Refuse values that do not go together, each of them in its range.

    Args:
        config: An object of a :func:`config_class`; without a method ``contradiction`` or
            ``without_effect`` it has none.
        typed: Options that somebody wrote down: those are refused at their default, too, where they
            have no effect.

    Raises:
        OptionsError: The message is what ``contradiction`` says, or names an option that has no
            effect, and why.
    """
    if isinstance(config, _Contradictory) and (sentence := config.contradiction()):
        raise OptionsError(sentence)
    if isinstance(config, _Conditional):
        for name, why in config.without_effect().items():
            value = getattr(config, name)
            if name in typed or value != described_options(type(config))[name].default:
                raise OptionsError(f"{name} is {value!r}, but {why}")


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
