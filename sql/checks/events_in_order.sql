-- asset: events
-- severity: error
-- Positions run 1 ... n for each user, and time never goes back from one to the next: histories are
-- slices by position, so this is what makes "before the position" mean "earlier".
-- what_to_do: Nothing is wrong with the log: rows were numbered in another order than that of time.
-- Run `din run --all`; if the check still fails, report it with the examples.
with

stepped as (
    select
        user_idx,
        position,
        time,
        lag(position, 1, cast(0 as bigint)) over (
            partition by user_idx
            order by position, time, item_idx
        ) as position_before,
        lag(time) over (
            partition by user_idx
            order by position, time, item_idx
        ) as time_before
    from events
)

select
    user_idx,
    position,
    position_before,
    time,
    time_before
from stepped
where position <> position_before + 1 or time < time_before
