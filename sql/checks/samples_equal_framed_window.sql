-- asset: samples
-- severity: error
-- users: 500
-- The histories, which are slices of stored lists, equal what the textbook says: a window framed
-- from max_history rows before to one row before, over the ordered events. Shown on some users,
-- since the framed window is what the slices are there to spare.
{% from "macros/checked_users.jinja" import checked_users with context %}
with

{{ checked_users() }}
framed as (
    select
        events.user_idx,
        events.position,
        {% for attribute in item_attributes %}
        list(events.{{ attribute.index }}) over history as {{ attribute.history }},
        {% endfor %}
        list(events.item_idx) over history as hist_item_id
    from events
    inner join checked_users on events.user_idx = checked_users.user_idx
    window
        history as (
            partition by events.user_idx
            order by events.position
            rows between {{ max_history }} preceding and 1 preceding
        )
),

checked_samples as (
    select
        samples.user_id,
        samples.position,
        samples.label,
        {% for attribute in item_attributes %}
        samples.{{ attribute.history }},
        {% endfor %}
        samples.hist_item_id
    from samples
    inner join checked_users on samples.user_id = checked_users.user_idx
)

select
    checked_samples.user_id,
    checked_samples.position,
    checked_samples.label,
    checked_samples.hist_item_id as slice,
    framed.hist_item_id as framed_window
from checked_samples
inner join framed
    on checked_samples.user_id = framed.user_idx and checked_samples.position = framed.position
where
    checked_samples.hist_item_id is distinct from framed.hist_item_id
    {% for attribute in item_attributes %}
    or checked_samples.{{ attribute.history }} is distinct from framed.{{ attribute.history }}
    {% endfor %}
