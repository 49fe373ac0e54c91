"""What is seen of the source: its version, its files and its rows, as an observation holds them.

The version is the hash of the content, as reading the rows computes it. Hashing reads every byte,
so the observation before is asked first: one whose stamp is still that of the files has their hash
(:mod:`din_core.sources.looks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG, get_input_data_version_tag

from din_assets.names import name_of
from din_assets.runs.last_run import Source
from din_core import sources
from din_core.datasets import named_logs
from din_core.datasets.named_logs import NamedLog
from din_core.sources import SourceError, SourceLook

_STAMP, _ROWS = "stamp", "rows"


@dataclass(frozen=True)
class Observation:
    """What was seen of a source.

    Attributes:
        version: Its data version.
        metadata: Where it is, whose choice that was, and its size.
    """

    version: str
    metadata: dict[str, Any]


def observe(
    source: Source, log: NamedLog, folder: Path, before: dg.AssetObservation | None
) -> Observation:
    """Look at a source, and read it where its content may have changed since it was seen.

    Args:
        source: What a run would read.
        log: The same, as a log by its name.
        folder: Folder of all results, where a fetched log lies.
        before: The observation before; None where there is none.

    Raises:
        SourceError: There is no such file, it cannot be read, or it has to be fetched first.
    """
    try:
        place = named_logs.place_of(log, folder)
    except named_logs.NotFetchedError as error:
        raise SourceError(
            f"{source.name}: nothing is seen of it before it is fetched ({error}); a run that "
            "reads it fetches it"
        ) from error
    if place is None:
        return Observation(named_logs.shape_version(log.synthetic), _of_name(source))
    look = sources.look_at(place)
    seen = _seen(before, look)
    version = seen[DATA_VERSION_TAG] if seen else sources.fingerprint(place)
    if not seen and sources.look_at(place).stamp != look.stamp:
        raise SourceError(
            f"{place}: the source changed while it was looked at; look again when nobody writes "
            "to it"
        )
    rows = look.rows if look.rows is not None else _rows_of(before, version)
    return Observation(version, {**_of_name(source), **_of_look(look, rows)})


def of_reading(
    source: Source, log: NamedLog, look: SourceLook | None, report: sources.IngestReport
) -> Observation:
    """Return what a run that read the source saw of it.

    Args:
        source: What was read.
        log: The same, as a log by its name.
        look: What :func:`before_reading` gave.
        report: What became of its rows.
    """
    if look is None:
        version, of_files = named_logs.shape_version(log.synthetic), {_ROWS: report.lines_read}
    else:
        version, of_files = report.source.sha256, _of_look(look, report.lines_read)
    return Observation(version, {**_of_name(source), **of_files})


def before_reading(log: NamedLog, place: str) -> SourceLook | None:
    """Look at a source that is about to be read; None of the synthetic log.

    Args:
        log: The log.
        place: The file or the glob that is read.
    """
    is_synthetic = log.amazon_category is None and log.path in (None, named_logs.SYNTHETIC)
    return None if is_synthetic else sources.look_at(place)


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.AssetObservation | None:
    """Return the last observation of the source in a run history."""
    records = instance.fetch_observations(key, limit=1).records
    return records[0].asset_observation if records else None


def show(context: dg.AssetExecutionContext, name: str, seen: Observation) -> dict[str, str]:
    """Leave what was seen on the source's page.

    Args:
        context: The context of the step that read the source.
        name: Name of the source's asset.
        seen: What was seen.

    Returns:
        Tags for what the step makes. Without them Dagster takes it for made of the observation
        before this one, and calls it outdated as soon as it is made.
    """
    deps = {dep for found in context.assets_def.asset_deps.values() for dep in found}
    (key,) = (dep for dep in deps if name_of(dep) == name)
    version = {DATA_VERSION_TAG: seen.version}
    context.log_event(dg.AssetObservation(key, metadata=seen.metadata, tags=version))
    return {get_input_data_version_tag(key): seen.version}


def _of_name(source: Source) -> dict[str, Any]:
    path = source.options.get("path")
    is_file = path and path != named_logs.SYNTHETIC
    return {
        "source": dg.MetadataValue.path(str(path)) if is_file else source.name,
        "named_by": source.origin,
    }


def _of_look(look: SourceLook, rows: int | None) -> dict[str, Any]:
    return {
        "files": look.files,
        "bytes": look.bytes,
        "modified": dg.MetadataValue.timestamp(look.modified),
        **({} if rows is None else {_ROWS: rows}),
        # Left out where the files may change again without changing it.
        **({_STAMP: look.stamp} if look.is_at_rest else {}),
    }


def _seen(before: dg.AssetObservation | None, look: SourceLook) -> Mapping[str, str]:
    """The tags of the observation before where it saw the very same files, else nothing."""
    if before is None or not look.is_at_rest or _value(before, _STAMP) != look.stamp:
        return {}
    return before.tags if before.data_version else {}


def _rows_of(before: dg.AssetObservation | None, version: str) -> int | None:
    """The rows of a text, counted when a run read it and taken over while its content is equal."""
    if before is None or before.data_version != version:
        return None
    rows = _value(before, _ROWS)
    return rows if isinstance(rows, int) else None


def _value(observation: dg.AssetObservation, name: str) -> Any:
    value = observation.metadata.get(name)
    return None if value is None else value.value
