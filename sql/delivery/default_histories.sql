-- asset: bundle
-- kind: query
-- What a user's history is where a request brings none: the user's latest events, in ids.
-- Grain: one row per user of `users`, in the order of the ids. hist_item_id runs oldest first and
-- holds the max_history latest events; none where the user has no event. hist_time, where a model
-- takes numbers of the log, says when they were, in seconds.
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/event_times.jinja" import event_times with context %}
with

{% if with_times %}
{{ event_times() }}
{% endif %}
examples as (
    select
        behaviour_sequences.user_idx,
        behaviour_sequences.items,
        {% if with_times %}
        event_times.times,
        {% endif %}
        array_length(behaviour_sequences.items) as history_end
    from behaviour_sequences
    {% if with_times %}
    inner join event_times on behaviour_sequences.user_idx = event_times.user_idx
    {% endif %}
),

latest_events as (
    select
        examples.user_idx,
        {% if with_times %}
        {{ history_of("examples." ~ quote("times")) }} as hist_time,
        {% endif %}
        {{ history_of("examples." ~ quote("items")) }} as hist_item_id
    from examples
),

final as (
    select
        users.user_idx,
        users.user_id,
        {% if with_times %}
        coalesce(latest_events.hist_time, []) as hist_time,
        {% endif %}
        coalesce(latest_events.hist_item_id, []) as hist_item_id
    from users
    left join latest_events on users.user_idx = latest_events.user_idx
)

select
    user_id,
    {% if with_times %}
    hist_time,
    {% endif %}
    hist_item_id
from final
order by user_id
