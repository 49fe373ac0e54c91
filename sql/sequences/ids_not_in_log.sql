-- asset: known_ids
-- kind: figure
-- How many known ids the log does not have any more: they keep their indices.
-- Grain: one row, one column. Not a table: a figure to report.
select count(*) as n_ids
from known_ids
where not in_log
