-- asset: drift
-- severity: warn
-- The log has more days (UTC) without events than the one before leads to expect, or its last day
-- has less than half of the rows of the days before it: a day is missing, or the last one is not
-- over. Under leave-one-out and a temporal split, the latest events are the test.
-- what_to_do: Find the days (`select time // 86400 as day, count(*) from interactions group by all
-- order by day`), export them again, and read the log when its last day is over.
select
    measure,
    before,
    now,
    value,
    threshold
from drift
where outcome = 'drifted' and measure in ('days_without_events', 'last_day_rows')
order by measure
