"""What is remembered of the last run: the only place that reads or writes its file.

What a run goes by is decided once, before its first step (:class:`Settled`), and remembered once:
when its source is accepted (:mod:`din_assets.making.acceptance`). A run that reads the source has
accepted it when its rows have passed their checks, just before they are committed, so that a file
that cannot be used takes nobody's place. A run that does not read it has nothing to wait for. A
step that refuses its options, when it comes to them, gives them back for those that it had.

So a run that is killed after its source was accepted is taken up by the next one, which needs to be
told nothing. One that is killed while it reads leaves what was remembered before.
"""

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from din_assets.runs import yaml_files
from din_core.atomic_files import replacing
from din_core.errors import RefusedOptionsError, WrongRequestError

Options = Mapping[str, Any]

#: Where it is kept, below the folder of all results.
FILE = "last_run.yaml"
_HEAD = """\
# The source and the options of the last run: the next one takes them where it is given none.
"""


class ChoicesError(WrongRequestError):
    """What a run is asked for is unclear or gone; the message says how to name it."""


@dataclass(frozen=True)
class Source:
    """What is read, and who said so.

    Attributes:
        options: All options of the step that reads it, with exactly one source among them:
            ``amazon_category``, or ``path``, which is absolute or ``synthetic``.
        name: The source in words.
        origin: Who named it: ``the run configuration``, ``DIN_CSV``, ``the last run``.
        warnings: What is given and has no effect.
    """

    options: Options
    name: str
    origin: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """What a run goes by.

    Attributes:
        options: The options of all steps that have any, by step; those of a step that the run does
            not have are as they were.
        source: What it reads; None where it reads nothing.
        before: What was remembered when this was decided.
        place: The file to remember it in.
        runs: Steps of the run that have options, given or remembered.
        given: Those of them whose options the run's configuration gives.
    """

    options: dict[str, Options]
    source: Source | None
    before: Mapping[str, Options]
    place: Path
    runs: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()

    def forget(self, step: str, names: Collection[str]) -> None:
        """Take options of a step out: it goes by their defaults, and so does the next run."""
        kept = {name: value for name, value in self.options[step].items() if name not in names}
        self.options[step] = kept

    def remember(self) -> None:
        """Let the next run go by this; called when the source is accepted."""
        write(self.place, self.options)

    @contextmanager
    def unless_refused(self, step: str) -> Generator[None]:
        """Give a step the options back that it had before, where it refuses these.

        Args:
            step: The step that is at work inside the block.
        """
        try:
            yield
        except RefusedOptionsError:
            write(self.place, {**read(self.place), step: self.before.get(step, {})})
            raise


def read(place: Path) -> dict[str, Options]:
    """Return what is remembered, by step; nothing where there was no run.

    Raises:
        ChoicesError: The file cannot be read, or is none of these.
    """
    try:
        document = yaml_files.read(place)
        return options_by_step(document or {})
    except (FileNotFoundError, NotADirectoryError):
        return {}  # a folder that is none is said when the run takes its lock there
    except OSError as error:
        raise ChoicesError(f"{place}: {error.strerror}; make it readable, or remove it") from error
    except yaml_files.AmbiguousYAMLError as error:
        raise ChoicesError(f"{place}: {error}") from error
    except (UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ChoicesError(
            f"{place}: what is remembered of the last run cannot be read; correct the file or "
            "remove it, and name the source and the options again"
        ) from error


def write(place: Path, options: Mapping[str, Options]) -> None:
    """Keep the options of every step, by step."""
    chosen = {step: dict(options[step]) for step in sorted(options) if options[step]}
    if chosen == read(place):
        return
    document = {"ops": {step: {"config": config} for step, config in chosen.items()}}
    with replacing(place) as part:
        part.write_text(_HEAD + yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")


def options_by_step(run_config: Mapping[str, Any]) -> dict[str, Options]:
    """Return the options that a run configuration gives, by step; None of a value is not given."""
    return {
        name: {
            option: value
            for option, value in ((given or {}).get("config") or {}).items()
            if value is not None
        }
        for name, given in (run_config.get("ops") or {}).items()
    }
