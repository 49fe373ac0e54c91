-- asset: warehouse
-- kind: view
-- Why rows of the source could not be used, most frequent reason first.
-- Grain: one row per reason; the example is the earliest row rejected for it.
with

numbered as (
    select
        reason,
        file,
        line,
        raw,
        row_number() over (partition by reason order by file, line, raw) as place
    from rejected_rows
),

counted as (
    select
        reason,
        count(*) as n_rows,
        count(distinct file) as files
    from numbered
    group by reason
),

final as (
    select
        counted.reason,
        counted.n_rows,
        counted.files,
        numbered.file as example_file,
        numbered.line as example_line,
        numbered.raw as example_raw
    from counted
    inner join numbered
        on
            counted.reason = numbered.reason
            and numbered.place = 1
)

select
    reason,
    n_rows,
    files,
    example_file,
    example_line,
    example_raw
from final
order by n_rows desc, reason asc
