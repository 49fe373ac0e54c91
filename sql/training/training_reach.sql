-- asset: din_model
-- kind: query
-- given: predecessor_reach
-- Up to where each user's events were trained on, by the model or by one that it started from.
-- Grain: one row per user whose events any of them was trained on. last_time is the time of the
-- last such event, in seconds; n_at_last_time is how many events of that very time were trained on,
-- in the order of the positions.
{% from "macros/training_events.jinja" import training_events %}
with

{{ training_events() }}
seen_times as (
    select
        user_idx,
        time,
        count(*) as n_events
    from training_events
    group by user_idx, time
),

reaches as (
    select
        cast(users.user_id as varchar) as user_id,
        seen_times.time as last_time,
        seen_times.n_events as n_at_last_time
    from seen_times
    inner join users on seen_times.user_idx = users.user_idx
    union all
    select
        user_id,
        last_time,
        n_at_last_time
    from predecessor_reach
),

final as (
    select
        user_id,
        last_time,
        max(n_at_last_time) as n_at_last_time
    from reaches
    group by user_id, last_time
    qualify row_number() over (partition by user_id order by last_time desc) = 1
)

select
    user_id,
    last_time,
    n_at_last_time
from final
order by user_id
