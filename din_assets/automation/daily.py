"""A full run every day, whether or not anything changed."""

import dagster as dg

from din_assets import jobs
from din_assets.names import Names

_NAME = "daily_full_run"


def schedule(names: Names) -> dg.ScheduleDefinition:
    """Return the schedule.

    Args:
        names: What Dagster calls the assets.
    """
    return dg.ScheduleDefinition(
        name=names.identifier(_NAME),
        job=jobs.full_run(names),
        cron_schedule="0 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        tags={"din/started_by": _NAME},
        description="Every day at 03:00 UTC: everything is made again, from the source of the last "
        "run (or DIN_CSV) and with its options.",
    )
