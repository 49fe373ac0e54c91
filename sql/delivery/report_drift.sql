-- asset: report
-- kind: query
-- How far the log has moved from the one before it.
-- Grain: one row per figure.
select
    measure,
    about,
    before,
    now,
    value,
    threshold,
    outcome
from drift
order by measure, about
