-- asset: drift
-- severity: warn
-- The log has become shorter by more than a tenth, or its days have half as many rows more or less
-- than those of the log before: a file may be missing, doubled or cut off.
-- what_to_do: Compare the source with the one before it: its files, their sizes, its first and last
-- day; see `rejected_rows` for rows that could not be used. If the change is meant, do nothing: the
-- next log is compared with this one.
select
    measure,
    before,
    now,
    value,
    threshold
from drift
where outcome = 'drifted' and measure in ('rows', 'rows_per_day')
order by measure
