"""What a run is asked for: its source and its options, given now or remembered of the last run.

A run whose configuration names a step in ``ops:`` is given its options: what stands there counts,
all else has its default. A run that names none (a click in the UI, a schedule, a command without a
file) takes the options of the last run. The source stands apart: one that is named is read, else
that of the last run. So a log that was read is never left for the synthetic one, nor for another
file, unless somebody names it.

What is remembered, and when, says :mod:`last_run`. Its file lies in the folder of all results. It
names places of this machine and enters no version. It is a run configuration itself: ``-c`` takes
it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from din_assets.names import step_of
from din_assets.runs import last_run, paths
from din_assets.runs.last_run import ChoicesError, Options, Settled, Source, options_by_step
from din_core.config import SyntheticConfig
from din_core.datasets.amazon import reviews
from din_core.sources.files import exists
from din_core.sources.globs import expand
from din_core.sources.places import is_url

Config = TypeVar("Config", bound=dg.Config)

#: The step that reads the source; its options say what the columns there are called.
SOURCE_STEP = "interactions"
#: Who names what is typed, as ``--csv`` is.
COMMAND_LINE = "the command line"
_SOURCE_OPTIONS = ("path", "amazon_category", "amazon_base_url")
_WAYS = (
    f"name another source (din run --csv PATH, or DIN_CSV=PATH), or the synthetic log (din run "
    f"--synthetic, or DIN_CSV={paths.SYNTHETIC})"
)


@dataclass(frozen=True)
class Choices:
    """The options of a run, by step.

    Attributes:
        given: Those of its configuration; empty where it names no step.
        remembered: Those of the last run.
        place: The file they are remembered in.
        keeps_others: Whether the steps that are not given any keep theirs, also where some are.
    """

    given: Mapping[str, Options]
    remembered: Mapping[str, Options]
    place: Path
    keeps_others: bool = False

    def options(self, step: str) -> Options:
        """Return the options that a step is given, or that are remembered of it."""
        return (self.remembered if self._keeps(step) else self.given).get(step, {})

    def remembered_steps(self) -> list[str]:
        """Return the steps that take options of the last run."""
        kept = [step for step in self.remembered if self._keeps(step)]
        return [step for step in kept if set(self.options(step)) - set(_SOURCE_OPTIONS)]

    def _keeps(self, step: str) -> bool:
        if step in self.given:
            return False
        # The options of the reading step say what the source's columns are called: they stay with
        # the source.
        return self.keeps_others or not self.given or step == SOURCE_STEP

    def source(self, named: str | None, recorded: Options | None, *, by: str = "DIN_CSV") -> Source:
        """Decide what is read.

        Args:
            named: The source that is named outside the configuration, or None.
            recorded: Options with which the present tables were read; None before the first run.
            by: Who named it. The command line comes before the configuration, which may be that of
                a whole log while a sample is tried, and the environment after it.

        Raises:
            ChoicesError: Two sources are named; the remembered one is gone; an option belongs to
                another source; or the synthetic log would take the place of a real one without
                having been named.
        """
        options = dict(self.options(SOURCE_STEP))
        given = self.given.get(SOURCE_STEP, {})
        remembered = self.remembered.get(SOURCE_STEP, {})
        warnings: list[str] = []
        origin = _origin_in(given)
        if named is not None and (origin is None or by == COMMAND_LINE):
            if origin is not None and paths.resolve_source(named) != _path_in(options):
                warnings.append(f"{origin} names {_name(options)}, too: it has no effect")
            options, origin = _but_from(options, {"path": named}), by
        elif origin is not None:
            if named is not None and paths.resolve_source(named) != _path_in(options):
                warnings.append(f"{by} names {named}, too: it has no effect")
        elif _origin_in(remembered):
            options, origin = _but_from(options, {**remembered, **given}), "the last run"
            _refuse_if_gone(options)
        elif recorded is not None and "synthetic" not in recorded:
            raise ChoicesError(
                f"the tables in {self.place.parent} were made of a log that {last_run.FILE} does "
                f"not name, and the synthetic one would replace them: {_WAYS}"
            )
        else:
            options, origin = _but_from(options, {"path": paths.SYNTHETIC}), "default"
        if path := _path_in(options):
            options["path"] = path
        if _has_unused_shape(given, options):
            if origin != by:
                raise ChoicesError(
                    f"the shape of the synthetic log is given (synthetic), but "
                    f"{_name(options)} is read ({origin} names it): leave the shape "
                    f"out, or {_WAYS}"
                )
            # Who names a file for one run and who wrote the configuration need not be one.
            warnings.append(f"the shape of the synthetic log has no effect: {by} names {named}")
        _refuse_unused(given, options)
        if options.get("path") != paths.SYNTHETIC:
            # What is remembered of its shape belongs to another source.
            options.pop("synthetic", None)
        return Source(options, _name(options), origin, tuple(warnings))

    def settled(self, source: Source | None, runs: Callable[[str], bool]) -> Settled:
        """Put together what the run goes by.

        Args:
            source: What it reads, from :meth:`source`; None where it reads nothing.
            runs: Whether a step is one of the run's; the others keep what is remembered of them.
        """
        options = {
            step: self.options(step) if runs(step) else self.remembered.get(step, {})
            for step in {*self.given, *self.remembered}
        }
        if source is not None:
            options[SOURCE_STEP] = source.options
        return Settled(
            options,
            source,
            self.remembered,
            self.place,
            runs=frozenset(step for step in options if runs(step)),
            given=frozenset(step for step in self.given if runs(step)),
        )


def of_run(run_config: Mapping[str, Any], folder: Path, *, keeps_others: bool = False) -> Choices:
    """Return the choices of a run: what it is given, and what is remembered in a folder.

    Args:
        run_config: Run configuration as ``-c`` takes it.
        folder: Folder of all results.
        keeps_others: As of :class:`Choices`.

    Raises:
        ChoicesError: What is remembered cannot be read.
    """
    place = folder / last_run.FILE
    return Choices(options_by_step(run_config), last_run.read(place), place, keeps_others)


def chosen(context: dg.AssetExecutionContext, settled: Settled, config: Config) -> Config:
    """Return a step's options: those that were settled before the run's first step.

    Args:
        context: The step's context.
        settled: What the run goes by.
        config: Its options as Dagster hands them in, which knows nothing of the last run.
    """
    return type(config)(**settled.options.get(step_of(context.assets_def.op.name), {}))


def _origin_in(options: Options) -> str | None:
    """Who named a source, where the options of the reading step name one."""
    if options.get("path") and options.get("amazon_category"):
        raise ChoicesError(
            f"both path ({options['path']}) and amazon_category ({options['amazon_category']}) are "
            "named, and one log is read: leave one of them out"
        )
    named = options.get("path") or options.get("amazon_category")
    return "the run configuration" if named else None


def _path_in(options: Options) -> str | None:
    path = options.get("path")
    return paths.resolve_source(path) if path else None


def _but_from(options: Options, source: Options) -> dict[str, Any]:
    """The same options with the source of others."""
    return {
        **{name: value for name, value in options.items() if name not in _SOURCE_OPTIONS},
        **{name: source[name] for name in _SOURCE_OPTIONS if source.get(name)},
    }


def _name(options: Options) -> str:
    """The source among a step's options, in words."""
    if category := options.get("amazon_category"):
        return f"Amazon Reviews 2014, {category}"
    path = str(options["path"])
    return "the synthetic log" if path == paths.SYNTHETIC else path


def source_name(settled: Settled) -> str:
    """Return the name of the log that is read, or was, without its place on this machine."""
    options = settled.options.get(SOURCE_STEP, {})
    name = _name({"path": paths.SYNTHETIC, **options})
    return name if options.get("amazon_category") else Path(name).name


def is_there(path: str) -> bool:
    """Say whether a path or a glob names something; of a URL the reading says so."""
    return is_url(path) or exists(path) or bool(expand(path))


def _refuse_if_gone(options: Options) -> None:
    path = options.get("path")
    if path and path != paths.SYNTHETIC and not is_there(path):
        raise ChoicesError(f"{path}, the source of the last run, is gone: put it back, or {_WAYS}")


def _has_unused_shape(given: Options, options: Options) -> bool:
    """Whether a shape other than the default is given and another log is read."""
    shape = dataclasses.asdict(SyntheticConfig())
    is_shaped = {**shape, **(given.get("synthetic") or {})} != shape
    return is_shaped and options.get("path") != paths.SYNTHETIC


def _refuse_unused(given: Options, options: Options) -> None:
    """Refuse what was chosen and would have no effect, lest it passes for done."""
    address = given.get("amazon_base_url", reviews.BASE_URL)
    if address != reviews.BASE_URL and "amazon_category" not in options:
        raise ChoicesError(
            f"amazon_base_url ({address}) has no effect without amazon_category: name the "
            "category, or leave the address out"
        )
