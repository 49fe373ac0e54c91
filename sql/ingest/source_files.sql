-- given: read_files
-- The files that the log is made of, and which load brought each.
-- Grain: one row per file of the source. sha256 is the hash of its content, decompressed; bytes is
-- its size on disk. `read_files` are the files as they were read, with the load that first read
-- this content under this name.
with

usable as (
    select
        file,
        count(*) as n_rows,
        min(time) as first_time,
        max(time) as last_time
    from interactions
    group by file
),

rejected as (
    select
        file,
        count(*) as n_rows
    from rejected_rows
    group by file
),

final as (
    select
        read_files.file,
        read_files.sha256,
        read_files.bytes,
        coalesce(usable.n_rows, 0) as rows,
        coalesce(rejected.n_rows, 0) as rejected_rows,
        usable.first_time,
        usable.last_time,
        read_files.load
    from read_files
    left join usable on read_files.file = usable.file
    left join rejected on read_files.file = rejected.file
)

select
    file,
    sha256,
    bytes,
    rows,
    rejected_rows,
    first_time,
    last_time,
    load
from final
order by file
