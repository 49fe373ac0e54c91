"""What comes before the first step of a run that Dagster starts: its choices, refused if wrong.

``dagster asset materialize`` and ``dg launch`` pass over a name in ``ops:`` that no step has, and a
run would go by the defaults. Here it fails, before anything is read.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from din_assets.making import acceptance, preset_files
from din_assets.runs import choices, paths, variables
from din_assets.runs.failures import as_dagster_failures
from din_assets.runs.last_run import Settled, Source
from din_assets.runs.resources import Asked, Log, StoreResource
from din_assets.starting import refresh_config
from din_assets.starting.parts_of_run import OwnPart, own_part
from din_core.errors import WrongRequestError
from din_core.sources import SourceError
from din_core.store import StoreError, connect, ledger


class NoSourceError(SourceError, WrongRequestError):
    """The file that is to be read is not there."""


class RunStore(StoreResource):
    """The store of a run that Dagster starts: its choices are checked and decided."""

    def check(self, asked: Asked, log: Log) -> None:
        """Refuse a run that names what there is not; see :func:`check`."""
        check(self._own(asked), self.folder, log)

    def settle(self, asked: Asked, log: Log) -> Settled:
        """Decide what a run goes by; see :func:`settle`."""
        return settle(self._own(asked), self, log)

    def only_looks(self, asked: Asked) -> bool:
        """Say whether a run does nothing but observe the source."""
        return self._own(asked).only_looks

    def settle_look(self, asked: Asked) -> Settled:
        """Decide what such a run looks at: what the next run would read."""
        config = self._own(asked).config
        look = choices.of_run(config, self.folder)
        return look.settled(source_of_next_run(self, config), lambda _: False)

    def _own(self, asked: Asked) -> OwnPart:
        return own_part(asked.run, asked.instance, self.names)


def check(own: OwnPart, folder: Path, log: Log) -> None:
    """Refuse a run that names what there is not, and say which options are the last run's.

    Args:
        own: What of the run is ours.
        folder: Folder of all results.
        log: Told of the options that are remembered, and of variables that nothing reads.

    Raises:
        dg.Failure: Its configuration, or what is remembered, names a step or an option that there
            is not, or a value out of range; or the source that it is to read is not there.
    """
    for sentence in variables.without_effect(os.environ):
        log.warning(sentence)
    with as_dagster_failures():
        refresh_config.check_names(own.config)
        asked = asked_for(own, folder)
        refresh_config.check_remembered(asked)
        if kept := [step for step in asked.remembered_steps() if own.has_step(step)]:
            log.info(f"options of the last run ({asked.place}): {', '.join(kept)}")
        if own.has_step(choices.SOURCE_STEP):
            refuse_missing(asked.source(paths.source_csv(), None))


def asked_for(own: OwnPart, folder: Path) -> choices.Choices:
    """What a run is asked for; with a preset, other steps keep their options."""
    return choices.of_run(own.config, folder, keeps_others=preset_files.TAG in own.tags)


def settle(own: OwnPart, store: StoreResource, log: Log) -> Settled:
    """Decide what a run goes by. Its lock is held, so that nothing changes any more.

    A run that reads no source goes by the log that was read: its options are remembered.

    Raises:
        ChoicesError: It is unclear what is to be read.
        OptionsError: The run reads no source, and an option does not go with the log that was read.
        StoreError: The pipeline's database is damaged.
    """
    asked = asked_for(own, store.folder)
    with contextlib.ExitStack() as stack:
        con = None
        if store.pipeline_path.is_file():
            con = stack.enter_context(store.connection(read_only=True))
        if own.has_step(choices.SOURCE_STEP):
            entry = con and ledger.entries(con).get(choices.SOURCE_STEP)
            source = asked.source(paths.source_csv(), entry and entry.options)
            return asked.settled(source, own.has_step)
        settled = asked.settled(None, own.has_step)
        if con is not None:
            acceptance.hold_against_log(con, settled, log.warning)
        settled.remember()
        return settled


def source_of_next_run(store: StoreResource, run_config: Mapping[str, Any] | None = None) -> Source:
    """Return what a run would read that started now. The pipeline's database is not opened.

    A run may be writing there. What was read for the published tables says of which kind they are.

    Args:
        store: The store.
        run_config: The run's configuration, by default an empty one.

    Raises:
        ChoicesError: It is unclear what is to be read.
        SourceError: There is no such file.
    """
    asked = choices.of_run(run_config or {}, store.folder)
    entry = published_entry(store, choices.SOURCE_STEP)
    source = asked.source(paths.source_csv(), entry and entry.options)
    refuse_missing(source)
    return source


def published_entry(store: StoreResource, asset: str) -> ledger.Entry | None:
    """Return what the published file says of an asset; None where it says nothing."""
    if not store.published_path.is_file():
        return None
    try:
        with connect(store.published_path, read_only=True) as con:
            return ledger.entries(con).get(asset)
    except (StoreError, duckdb.Error):
        return None  # damaged; a run makes it again


def refuse_missing(source: Source) -> None:
    """Refuse a file that is not there: waiting for the lock first would waste the user's time.

    Raises:
        NoSourceError: There is no such file, or none fits the pattern.
    """
    path = source.options.get("path")
    if path and path != paths.SYNTHETIC and not choices.is_there(path):
        raise NoSourceError(f"{path}: there is no such file ({source.origin} names it)")
