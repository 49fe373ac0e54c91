"""Run configuration, derived from the library's dataclasses so that no option is written twice.

:func:`mirror` makes a ``dg.Config`` whose fields carry the dataclass's types, its descriptions
(from its docstring) and the defaults of this layer; the ranges stand here, in one table.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, create_model

#: Ranges of the numbers, by field. A value outside is refused when the step starts.
BOUNDS: dict[str, dict[str, float]] = {
    "affinity": {"ge": 0},
    "attention_dims": {"min_length": 1},
    "batch_size": {"ge": 1},
    "checkpoint_seconds": {"ge": 0},
    "drift": {"ge": 0},
    "dropout": {"ge": 0, "lt": 1},
    "earlystop_patience": {"ge": 1},
    "ema_decay": {"ge": 0, "lt": 1},
    "embed_dim": {"ge": 1, "le": 1024},
    "embedding_init_std": {"ge": 0},
    "embedding_l2": {"ge": 0},
    "exploration": {"ge": 0, "lt": 1},
    "focus_period": {"gt": 0},
    "interests_per_user": {"ge": 1},
    "learning_rate": {"gt": 0},
    "max_history": {"ge": 1, "le": 10_000},
    "mean_interactions": {"gt": 0},
    "min_interactions": {"ge": 0},
    "mlp_dims": {"min_length": 1},
    "n_cates": {"ge": 1},
    "n_epoch": {"ge": 1},
    "n_interests": {"ge": 1},
    "n_items": {"ge": 1},
    "n_styles": {"ge": 1},
    "n_users": {"ge": 1},
    "negatives_per_positive": {"ge": 0, "le": 1_000},
    "num_threads": {"ge": 0},
    "own_weight": {"ge": 0},
    "popularity_exponent": {"ge": 0},
    "seed": {"ge": 0, "lt": 2**30},
    "style_weight": {"ge": 0},
    "test_from": {"gt": 0},
    "val_from": {"gt": 0},
    "weight_decay": {"ge": 0},
}


def descriptions(cls: type) -> dict[str, str]:
    """Return what the docstring's ``Attributes`` section says of each field, on one line.

    Inherited fields are described where they are inherited from.
    """
    described: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        section = re.split(r"\n\s*Attributes:\n", each.__doc__ or "", maxsplit=1)[-1]
        found = re.findall(r"^\s+(\w+): (.+(?:\n(?!\s+\w+: ).+)*)", section, flags=re.MULTILINE)
        described |= {name: " ".join(text.split()) for name, text in found}
    return described


def mirror(
    name: str,
    *classes: type,
    only: tuple[str, ...] | None = None,
    defaults: Mapping[str, Any] | None = None,
    doc: str,
) -> type[dg.Config]:
    """Make a run-config class from the fields of frozen dataclasses.

    Args:
        name: Name of the new class.
        classes: The dataclasses; of several fields of one name the last counts, and where they are
            choices, what any of them allows may be chosen.
        only: Fields to take; by default all of them.
        defaults: Defaults that differ from the dataclass's own.
        doc: The class's description.
    """
    defaults = defaults or {}
    fields: dict[str, Any] = {}
    for cls in classes:
        hints = typing.get_type_hints(cls)
        texts = descriptions(cls)
        for field in dataclasses.fields(cls):
            if only is not None and field.name not in only:
                continue
            default = defaults.get(field.name, field.default)
            earlier, _ = fields.get(field.name, (None, None))
            fields[field.name] = (
                _either(earlier, _plain(hints[field.name])),
                Field(
                    **({} if default is dataclasses.MISSING else {"default": _list(default)}),
                    description=texts[field.name],
                    **BOUNDS.get(field.name, {}),
                ),
            )
    return create_model(name, __base__=dg.Config, __doc__=doc, **fields)


def _plain(hint: Any) -> Any:
    """Turn ``tuple[x, ...]`` into ``list[x]``, which run configuration can express."""
    if typing.get_origin(hint) is tuple:
        return types.GenericAlias(list, typing.get_args(hint)[:1])
    return hint


def _either(one: Any, other: Any) -> Any:
    """Of two choices what either allows, otherwise the other."""
    if {typing.get_origin(one), typing.get_origin(other)} != {typing.Literal}:
        return other
    return typing.Literal[(*typing.get_args(one), *typing.get_args(other))]


def _list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
