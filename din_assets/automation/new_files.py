"""A sensor that starts a run when the files of the source have new content and lie still.

It watches what a run would read: the file or the glob of the last run, or of DIN_CSV. A file that
is still being written changes between two looks, and a run would read half of it; so a look that
finds something new only remembers it, and the next one that finds it unchanged starts the run.
"""

import dataclasses
import json

import dagster as dg

from din_assets import jobs
from din_assets.assets import ingest
from din_assets.names import Names
from din_assets.runs.resources import StoreResource
from din_assets.starting import run_start
from din_core import sources
from din_core.datasets import named_logs
from din_core.sources import SourceError

_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the sensor remembers from one look to the next, as its cursor.

    Attributes:
        stamp: That of the files at the last look.
        hashed: That of the files whose content was hashed last.
        version: The hash of their content.
        requested: The hash of the content for which a run was requested last.
    """

    stamp: str = ""
    hashed: str = ""
    version: str = ""
    requested: str = ""

    @classmethod
    def of_cursor(cls, cursor: str | None) -> "Memory":
        """Read a cursor; one that is none of these is an empty memory."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):
            return cls()

    def cursor(self) -> str:
        """Return it as a cursor."""
        return json.dumps(dataclasses.asdict(self))


def sensor(store: StoreResource, names: Names) -> dg.SensorDefinition:
    """Return the sensor.

    Args:
        store: The store that its runs write to. It takes no lock, and opens no database that a run
            may be writing.
        names: What Dagster calls the assets.
    """

    @dg.sensor(
        name=names.identifier("new_files"),
        job=jobs.full_run(names),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Watches the files of the source (of the last run, or DIN_CSV): when a file is "
        "new or corrected, and has not changed from one look to the next, everything is made "
        "again, with the options of the last run. Files that did not change start nothing.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        memory = Memory.of_cursor(context.cursor)
        try:
            return look(store, memory)
        except SourceError as error:
            # A file that is empty, cut off or on its way; what is wrong with it is in the ticks.
            return _wait(memory, str(error))

    return new_files


def look(store: StoreResource, memory: Memory) -> dg.SensorResult:
    """Look at the source's files once, and request a run where their content is new.

    Args:
        store: The store.
        memory: What is remembered of the look before.

    Raises:
        ChoicesError: It is unclear what is to be read, or the source of the last run is gone.
        SourceError: There is no such file, or it cannot be read.
    """
    source = run_start.source_of_next_run(store)
    try:
        log = ingest.named_log(ingest.InteractionsConfig(**source.options))
        place = named_logs.place_of(log, store.folder)
    except named_logs.NotFetchedError:
        return _wait(memory, f"{source.name} is not fetched yet; a run does that")
    if place is None:
        return _wait(
            memory,
            f"{source.name} has no files to watch: name some, as din run --csv "
            "'data/incoming/*.csv', or with DIN_CSV",
        )
    seen = sources.look_at(place)
    if seen.stamp != memory.stamp or not seen.is_at_rest:
        return _wait(
            dataclasses.replace(memory, stamp=seen.stamp),
            f"{place}: {seen.files} file(s), {seen.bytes:,} bytes, changed since the last look; "
            "read when two looks in a row find them unchanged",
        )
    if memory.hashed != seen.stamp:
        version = sources.fingerprint(place)
        memory = dataclasses.replace(memory, hashed=seen.stamp, version=version)
    read = run_start.published_entry(store, "interactions")
    if read is not None and read.inputs.get(ingest.SOURCE) == memory.version:
        # Whatever was requested is done with: the same content may come back after this one.
        return _wait(
            dataclasses.replace(memory, requested=""),
            f"{place}: nothing new, the published tables were made of it",
        )
    if memory.requested == memory.version:
        return _wait(
            memory,
            f"{place}: a run was requested for this content; if it failed, `din run` takes it up",
        )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                # The stamp makes a difference where a file is put back to what it was before.
                run_key=f"{memory.version}-{seen.stamp}",
                tags={"din/started_by": "new_files"},
            )
        ],
        cursor=dataclasses.replace(memory, requested=memory.version).cursor(),
    )


def _wait(memory: Memory, why: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(why), cursor=memory.cursor())
