-- asset: report
-- kind: query
-- Why rows of the source could not be used, the most frequent reason first.
-- Grain: one row per reason, of the ten most frequent ones; file and line are its first row's.
with

numbered as (
    select
        reason,
        file,
        line,
        row_number() over (partition by reason order by file, line) as place,
        count(*) over (partition by reason) as n_rows
    from rejected_rows
)

select
    reason,
    n_rows,
    file,
    line
from numbered
where place = 1
order by n_rows desc, reason asc
limit 10
