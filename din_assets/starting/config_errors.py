"""What Dagster says of a run configuration, in our form: the thing, its value, the way out.

What names and options there are is checked before Dagster looks (:mod:`refresh_config`). What is
left are its own sections, such as that of the executor.
"""

from typing import Any

import dagster as dg


def sentence(error: dg.DagsterInvalidConfigError) -> str:
    """Say what Dagster refuses first.

    Args:
        error: Raised by the validation of a run configuration.
    """
    first = error.errors[0]
    path: list[str] = []
    value: Any = error.config_value
    for entry in first.stack.entries:
        name = getattr(entry, "field_name", None)
        name = getattr(entry, "list_index", None) if name is None else name
        path.append(str(name))
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            value = None
    where = ": ".join(path) or "the run configuration"
    unknown: Any = getattr(first.error_data, "field_name", None)
    if unknown is None:
        unknown = next(iter(getattr(first.error_data, "field_names", ())), None)
    if unknown is not None and unknown in (value or ()):
        return f"{where}: there is no '{unknown}'; correct it, or leave it out"
    return f"{where} is {value!r}, which Dagster does not take there; correct it, or leave it out"
