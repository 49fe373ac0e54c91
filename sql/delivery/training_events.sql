-- asset: bundle
-- kind: query
-- What a server counts items in (`log_numbers`): each event that training may see, which is up to
-- the user's last training positive.
-- Grain: one row per training event, in the order of items and times. time is in seconds.
with

last_seen as (
    select
        user_idx,
        max(position) as last_position
    from sample_bounds
    where split = 'train' and label = 1
    group by user_idx
),

final as (
    select
        events.item_idx,
        cast(events.time as double) as time
    from events
    inner join last_seen on events.user_idx = last_seen.user_idx
    where events.position <= last_seen.last_position
)

select
    item_idx,
    time
from final
order by item_idx, time
