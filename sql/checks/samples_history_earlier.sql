-- asset: samples
-- severity: error
-- users: 5000
-- Each history is strictly earlier than its target: it ends with the event at the position before,
-- begins max_history positions back (or at the user's first event), and none of it is later than
-- the example. A history that holds its own target lets a model look up the answer.
{% from "macros/checked_users.jinja" import checked_users with context %}
with

{{ checked_users() }}
checked_samples as (
    select
        samples.user_id as user_idx,
        samples.position,
        samples.label,
        samples.target_item_id,
        samples.hist_item_id,
        samples.time
    from samples
    inner join checked_users on samples.user_id = checked_users.user_idx
),

checked_events as (
    select
        events.user_idx,
        events.position,
        events.item_idx,
        events.time
    from events
    inner join checked_users on events.user_idx = checked_users.user_idx
)

select
    checked_samples.user_idx,
    checked_samples.position,
    checked_samples.label,
    checked_samples.target_item_id,
    checked_samples.hist_item_id,
    checked_samples.time,
    before.item_idx as item_before,
    before.time as time_before
from checked_samples
left join checked_events as before
    on
        checked_samples.user_idx = before.user_idx
        and checked_samples.position - 1 = before.position
left join checked_events as oldest
    on
        checked_samples.user_idx = oldest.user_idx
        and greatest(1, checked_samples.position - {{ max_history }}) = oldest.position
left join checked_events as target
    on
        checked_samples.user_idx = target.user_idx
        and checked_samples.position = target.position
where
    len(checked_samples.hist_item_id)
    is distinct from least(checked_samples.position - 1, {{ max_history }})
    or checked_samples.hist_item_id[1] is distinct from oldest.item_idx
    or checked_samples.hist_item_id[len(checked_samples.hist_item_id)]
    is distinct from before.item_idx
    or before.time > checked_samples.time
    or (
        checked_samples.label = 1
        and (
            target.item_idx is distinct from checked_samples.target_item_id
            or target.time is distinct from checked_samples.time
        )
    )
