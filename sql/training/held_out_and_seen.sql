-- asset: din_model
-- kind: query
-- given: predecessor_reach
-- Held-out positives, and those of them that a model to start from was trained on: none where the
-- log has only grown, for what is held out then is later than what was trained on.
-- Grain: one row per split, 'val' and 'test', that has positives.
with

held_out as (
    select
        split,
        user_idx,
        position
    from sample_bounds
    where split in ('val', 'test') and label = 1
),

times as (
    select
        user_idx,
        position,
        cast(time as double) as time
    from events
),

numbered_events as (
    -- Events of one time stand in the order of the source: a log that grows adds behind them.
    select
        user_idx,
        position,
        time,
        row_number() over (partition by user_idx, time order by position) as number_at_time
    from times
),

reaches as (
    select
        users.user_idx,
        predecessor_reach.last_time,
        predecessor_reach.n_at_last_time
    from predecessor_reach
    inner join users on predecessor_reach.user_id = cast(users.user_id as varchar)
),

final as (
    select
        held_out.split,
        count(*) as n_held_out,
        count(
            case
                when numbered_events.time < reaches.last_time then 1
                when
                    numbered_events.time = reaches.last_time
                    and numbered_events.number_at_time <= reaches.n_at_last_time
                    then 1
            end
        ) as n_seen
    from held_out
    inner join numbered_events
        on
            held_out.user_idx = numbered_events.user_idx
            and held_out.position = numbered_events.position
    left join reaches on held_out.user_idx = reaches.user_idx
    group by held_out.split
)

select
    split,
    n_held_out,
    n_seen
from final
order by split
