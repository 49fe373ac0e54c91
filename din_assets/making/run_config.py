"""Run configuration, derived from the library's dataclasses so that no option is written twice.

:func:`mirror` makes a ``dg.Config`` whose fields carry the dataclass's types, descriptions and
ranges, and the defaults of this layer. What the library refuses is refused here in its words, as
soon as such an object is made.
"""

import dataclasses
import typing
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import pydantic
from pydantic import Field, create_model, field_validator, model_validator

from din_core.config import (
    Option,
    config_from_mapping,
    described_options,
    refuse_contradiction,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def mirror(
    name: str,
    *classes: "type[DataclassInstance]",
    only: tuple[str, ...] | None = None,
    defaults: Mapping[str, Any] | None = None,
    doc: str,
) -> type[dg.Config]:
    """Make a run-config class from the options of frozen dataclasses.

    Args:
        name: Name of the new class.
        classes: The dataclasses; of several fields of one name the last counts, and where they are
            choices, what any of them allows may be chosen.
        only: Fields to take; by default all of them.
        defaults: Defaults that differ from the dataclass's own.
        doc: The class's description.
    """
    taken: dict[str, Option] = {}
    validators: dict[str, Any] = {}
    for cls in classes:
        for option in described_options(cls).values():
            if only is None or option.name in only:
                default = (defaults or {}).get(option.name, option.default)
                kind = _either(taken.get(option.name, option).kind, option.kind)
                taken[option.name] = dataclasses.replace(option, kind=kind, default=_list(default))
        validators[f"refuse_{cls.__name__}"] = model_validator(mode="after")(
            _refusing_contradictions(cls, frozenset(taken))
        )
    for option in taken.values():
        validators[f"refuse_{option.name}"] = field_validator(option.name, mode="before")(
            _refusing(option)
        )
    fields: dict[str, Any] = {
        each.name: (_plain(each.kind), _field(each)) for each in taken.values()
    }
    made = create_model(name, __base__=dg.Config, __doc__=doc, __validators__=validators, **fields)
    _MIRRORED[made] = classes, frozenset(taken)
    return made


#: The dataclasses behind each class, and the names it has of them.
_MIRRORED: dict[type[Any], "tuple[tuple[type[DataclassInstance], ...], frozenset[str]]"] = {}


def refuse_without_effect(chosen: pydantic.BaseModel) -> None:
    """Refuse options that somebody wrote down and that the others leave without effect.

    Those that are at their default are refused, too, which a class by itself cannot do: Dagster
    writes some defaults down before it hands them to a step.

    Args:
        chosen: Made of what stands in a run configuration, and of nothing else.

    Raises:
        OptionsError: The first such option is named, and why it has no effect.
    """
    typed = typed_options(chosen)
    for made in type(chosen).__mro__:
        classes, names = _MIRRORED.get(made, ((), frozenset[str]()))
        for cls in classes:
            _refuse_contradiction(cls, chosen, names, typed)


def typed_options(chosen: pydantic.BaseModel) -> frozenset[str]:
    """Return the options that somebody wrote down: those count as chosen at their default, too.

    Args:
        chosen: As of :func:`refuse_without_effect`.

    Returns:
        Their names; none where every option stands there, as the launchpad of the UI writes them
        all down with their defaults.
    """
    written = {name for name in chosen.model_fields_set if getattr(chosen, name) is not None}
    every = {name for name, each in type(chosen).model_fields.items() if each.default is not None}
    return frozenset() if every <= written else frozenset(written)


def idle_options(made: type[pydantic.BaseModel]) -> frozenset[str]:
    """Return the options of a class of run configuration that decide no result, such as timeouts.

    Args:
        made: By :func:`mirror`, or below such a class.
    """
    return frozenset(
        option.name
        for each in made.__mro__
        for cls in _MIRRORED.get(each, ((), frozenset[str]()))[0]
        for option in described_options(cls).values()
        if not option.decides
    )


def _field(option: Option) -> Any:
    if option.default is dataclasses.MISSING:
        return Field(description=option.text)
    return Field(default=option.default, description=option.text)


def _refusing(option: Option) -> Callable[[Any], Any]:
    """Return what pydantic asks of each value, before it makes another one of it."""

    def refuse(value: Any) -> Any:
        if sentence := option.refusal(value):
            raise ValueError(sentence)
        return value

    return refuse


def _refusing_contradictions(
    cls: "type[DataclassInstance]", names: frozenset[str]
) -> Callable[[Any], Any]:
    """Return what pydantic asks of all values of a class together."""

    def refuse(chosen: Any) -> Any:
        _refuse_contradiction(cls, chosen, names)
        return chosen

    return refuse


def _refuse_contradiction(
    cls: "type[DataclassInstance]",
    chosen: pydantic.BaseModel,
    names: frozenset[str],
    typed: Collection[str] = (),
) -> None:
    known = described_options(cls)
    values = {name: getattr(chosen, name) for name in names & set(known)}
    # What is not mirrored and has no default is empty: no rule over several options asks.
    rest = {each.name: "" for each in known.values() if each.default is dataclasses.MISSING}
    # One that this class does not take was chosen for another one, such as another model.
    if all(known[name].takes(value) for name, value in values.items()):
        refuse_contradiction(config_from_mapping(cls, {**rest, **values}), typed)


def _plain(hint: Any) -> Any:
    """Turn ``tuple[x, ...]`` into ``list[x]``, which run configuration can express.

    A list of choices is one of texts there; what is none of the choices is refused all the same.
    """
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return list[str] if typing.get_origin(item) is typing.Literal else list[item]
    return hint


def _either(one: Any, other: Any) -> Any:
    """Of two choices what either allows, otherwise the other."""
    if one == other or {typing.get_origin(one), typing.get_origin(other)} != {typing.Literal}:
        return other
    return typing.Literal[(*typing.get_args(one), *typing.get_args(other))]


def _list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
