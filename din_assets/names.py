"""What an asset is called here, and what Dagster calls it: the one place that knows both.

Ledger, tables, files, options and messages say an asset's *name* (``samples``), whoever shows it.
Dagster has assets of others beside ours, and perhaps those of a second log, so that it is told a
*key* (``clicks/samples``) and an *identifier* (``clicks__samples``: of a step, a job, a resource).
The prefix is all that differs. Without one, name, key and identifier are the same.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from din_core.errors import DinError

if TYPE_CHECKING:
    import dagster as dg

#: The name of the resource that all steps take.
STORE = "store"

_BETWEEN = "__"
_PART = re.compile(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*")


class PrefixError(DinError, ValueError):
    """A prefix cannot be one."""


def name_of(key: "dg.AssetKey") -> str:
    """Return the name of one of our assets, whatever its prefix is."""
    return key.path[-1]


def step_of(identifier: str) -> str:
    """Return the name of one of our steps, whatever its prefix is."""
    return identifier.rpartition(_BETWEEN)[2]


def in_plain_names(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run configuration of ours with steps and resource by name, whatever their prefix."""
    return _renamed(run_config, step_of)


@dataclass(frozen=True)
class Names:
    """What Dagster calls the assets of one log.

    Attributes:
        prefix: What their keys begin with; empty where they stand alone.
        group_prefix: What the names of their groups begin with; empty where they are as they are.
    """

    prefix: tuple[str, ...] = ()
    group_prefix: str = ""

    @classmethod
    def below(
        cls, prefix: str | Sequence[str] | None = None, group_prefix: str | None = None
    ) -> "Names":
        """Return the names below a prefix.

        Args:
            prefix: What keys begin with, ``clicks``, or several such parts, ``team/clicks`` or
                ``["team", "clicks"]``.
            group_prefix: What the names of groups begin with.

        Raises:
            PrefixError: A part of it cannot be part of a key, a step and a job.
        """
        parts = tuple(prefix.split("/")) if isinstance(prefix, str) else tuple(prefix or ())
        for what, part in [
            *(("prefix", part) for part in parts),
            *([("group_prefix", group_prefix)] if group_prefix is not None else []),
        ]:
            if not _PART.fullmatch(part):
                raise PrefixError(
                    f"{what} is {part!r}; each part of it is made of letters, digits and single "
                    "underscores between them, such as 'clicks' or 'team_a/clicks'"
                )
        return cls(parts, group_prefix or "")

    def key(self, name: str) -> "dg.AssetKey":
        """Return the key of an asset."""
        import dagster as dg  # here: commands that need no Dagster read names, too

        return dg.AssetKey([*self.prefix, name])

    def identifier(self, name: str) -> str:
        """Return what Dagster calls a step, a job, a sensor, a schedule or a resource of ours."""
        return _BETWEEN.join([*self.prefix, name])

    def group(self, name: str) -> str:
        """Return the name of a group."""
        return f"{self.group_prefix}_{name}" if self.group_prefix else name

    def own(self, run_config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a run's configuration is ours, with steps and resource by name.

        What others are given beside us is left out: their steps, resources, loggers. Without a
        prefix all of it is ours.
        """
        if not self.prefix:
            return dict(run_config)
        ours: dict[str, Any] = {}
        for section in ("ops", "resources"):
            given = run_config.get(section)
            if isinstance(given, Mapping):
                names = {key: self._own_name(key) for key in given}
                ours[section] = {name: given[key] for key, name in names.items() if name}
        return ours

    def in_names(self, run_config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run configuration with steps and resource by name, however it calls them.

        Unlike :meth:`own` it leaves nothing out: what is not ours is refused by whoever looks for
        it.

        Raises:
            PrefixError: A step is given twice, by its name and by its identifier.
        """
        for section in ("ops", "resources"):
            given = run_config.get(section)
            if not isinstance(given, Mapping):
                continue  # whoever checks it says so
            for key in given:
                if (name := self._own_name(key)) and name != key and name in given:
                    raise PrefixError(f"{section}: both '{name}' and '{key}' are given: one step")
        return _renamed(run_config, lambda key: self._own_name(key) or key)

    def in_dagster(self, run_config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run configuration in names as Dagster takes it; ``in_names`` is the way back."""
        return _renamed(run_config, self.identifier)

    def _own_name(self, identifier: object) -> str | None:
        beginning = self.identifier("")
        if not isinstance(identifier, str) or not identifier.startswith(beginning):
            return None
        name = identifier.removeprefix(beginning)
        return None if _BETWEEN in name else name  # what has a longer prefix is another log's


#: Those of assets that stand alone.
PLAIN = Names()


def _renamed(run_config: Any, rename: Callable[[str], str]) -> Any:
    if not isinstance(run_config, Mapping):
        return run_config  # whoever checks it says so
    return {
        section: {rename(name) if isinstance(name, str) else name: given[name] for name in given}
        if section in ("ops", "resources") and isinstance(given, Mapping)
        else given
        for section, given in run_config.items()
    }
