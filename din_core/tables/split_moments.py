"""Where the parts of a temporal split begin, in the seconds of the log.

``val_from`` and ``test_from`` are moments or quantiles of the event times. A moment in another unit
than the log's would make one part of everything: it is recognised by its size and refused.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import duckdb

from din_core.config import OptionsError, SequenceConfig
from din_core.engines.engine import DUCKDB, Engine
from din_core.store import sql_files
from din_core.tables.template_context import TemplateContext

_UNITS = {1_000: "milliseconds", 1_000_000: "microseconds", 1_000_000_000: "nanoseconds"}
# Times below are counters of a made-up log, of which nothing can be said by their size.
_LEAST_DATE = 1_000_000


def resolve(
    con: duckdb.DuckDBPyConnection,
    context: TemplateContext,
    sequences: SequenceConfig,
    engine: Engine = DUCKDB,
) -> tuple[int | str, int | str]:
    """Return ``val_from`` and ``test_from`` as the templates take them.

    Args:
        con: Connection with the table ``interactions``.
        context: What the template ``split_moment`` takes, but for the quantile.
        sequences: How events become samples.
        engine: What quantiles are asked of.

    Raises:
        OptionsError: A moment is in another unit than the log's times.
    """
    refuse_other_units(con, sequences)
    val_from, test_from = (
        _moment(con, context, moment, engine)
        for moment in (sequences.val_from, sequences.test_from)
    )
    return val_from, test_from


def _moment(
    con: duckdb.DuckDBPyConnection, context: TemplateContext, value: float, engine: Engine
) -> int | str:
    """A quantile of the event times, or a time as it is; exact, like the column."""
    moment = Decimal(str(value))
    if 0 < value < 1:
        millionths = round(value * 1_000_000)
        select = engine.render("split_moment", millionths=millionths, **context.variables())
        moment = Decimal(engine.query(con, select).rows[0][0] or 0)
    return int(moment) if moment == int(moment) else sql_files.number(moment)


def refuse_other_units(con: duckdb.DuckDBPyConnection, sequences: SequenceConfig) -> None:
    """Refuse a moment of a temporal split that is in another unit than the log's times.

    Args:
        con: Connection with the table ``interactions``.
        sequences: ``split``, ``val_from`` and ``test_from`` are read.

    Raises:
        OptionsError: A moment is in another unit than the log's times.
    """
    if sequences.split != "temporal":
        return
    given = {"val_from": sequences.val_from, "test_from": sequences.test_from}
    first, last = con.execute("select min(time), max(time) from interactions").fetchall()[0]
    if first is None or first < _LEAST_DATE:
        return
    for name, value in given.items():
        meant = None
        if 1 <= value <= 100:
            meant = f"is {value} per cent meant? Write the quantile, {value / 100:g}"
        for factor, unit in _UNITS.items():
            if value > last and first <= value / factor <= last:
                seconds = Decimal(str(value)) / factor
                meant = f"as {unit} it would be among them: write the seconds, {seconds:f}"
        if meant:
            raise OptionsError(
                f"{name} is {value}, but the times of the log are seconds from {first} "
                f"({_date(first)}) to {last} ({_date(last)}); {meant}"
            )


def _date(seconds: int | Decimal) -> str:
    """The day, or an empty text where the calendar has none."""
    try:
        return datetime.datetime.fromtimestamp(float(seconds), datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "beyond the year 9999"
