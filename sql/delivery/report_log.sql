-- asset: report
-- kind: query
-- How large the log is that was read, and what of it is known.
-- Grain: one row. Times are seconds since 1970-01-01 UTC.
with

of_log as (
    select
        count(*) as interactions,
        count(distinct file) as files,
        cast(min(time) as double) as first_time,
        cast(max(time) as double) as last_time
    from interactions
),

of_rejected as (
    select count(*) as rejected
    from rejected_rows
),

of_users as (
    select count(*) as users
    from users
),

of_items as (
    select count(*) as items
    from items
),

of_events as (
    select count(*) as events
    from events
)

select
    of_log.interactions,
    of_rejected.rejected,
    of_log.files,
    of_log.first_time,
    of_log.last_time,
    of_users.users,
    of_items.items,
    of_events.events
from of_log
cross join of_rejected
cross join of_users
cross join of_items
cross join of_events
