-- asset: bundle
-- kind: query
-- What a user's history is where a request brings none: the user's latest events, in ids.
-- Grain: one row per user of `users`, in the order of the ids. hist_item_id runs oldest first and
-- holds the max_history latest events; none where the user has no event.
{% from "macros/history.jinja" import history_of with context %}
with

examples as (
    select
        user_idx,
        items,
        array_length(items) as history_end
    from behaviour_sequences
),

latest_events as (
    select
        examples.user_idx,
        {{ history_of("examples." ~ quote("items")) }} as hist_item_id
    from examples
),

final as (
    select
        users.user_idx,
        users.user_id,
        coalesce(latest_events.hist_item_id, []) as hist_item_id
    from users
    left join latest_events on users.user_idx = latest_events.user_idx
)

select
    user_id,
    hist_item_id
from final
order by user_idx
