"""A full run every day, whether or not anything changed."""

import dagster as dg

from din_assets import jobs

daily_full_run = dg.ScheduleDefinition(
    name="daily_full_run",
    job=jobs.full_run,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    tags={"din/started_by": "daily_full_run"},
    description="Every day at 03:00 UTC: everything is made again, from the source of the last run "
    "(or DIN_CSV) and with its options.",
)
