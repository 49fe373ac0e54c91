-- asset: bundle, model_versions
-- kind: query
-- How large the log is that a model was made from, and when it was.
-- Grain: one row. Times are seconds since 1970-01-01 UTC; NULL in a log without events.
with

known_users as (
    select count(*) as users
    from users
    where in_log
),

known_items as (
    select count(*) as items
    from items
),

known_events as (
    select
        count(*) as events,
        cast(min(time) as double) as first_time,
        cast(max(time) as double) as last_time
    from events
)

select
    known_users.users,
    known_items.items,
    known_events.events,
    known_events.first_time,
    known_events.last_time
from known_users
cross join known_items
cross join known_events
