-- Each user's interactions, once, in order: the table everything else is a slice of.
-- Grain: one row per interaction of a known user (per positive one, where the log is labelled).
-- position runs 1 ... n for each user by (time, file, line): ties in time are decided by the
-- source's own order, so "earlier" always means a smaller position.
with

positives as (
    select
        user_id,
        item_id,
        time,
        file,
        line
    from interactions
    {% if labelled %}
    where label = 1
    {% endif %}
),

indexed_events as (
    select
        users.user_idx,
        items.item_idx,
        {% for attribute in item_attributes %}
        items.{{ attribute.index }},
        {% endfor %}
        positives.time,
        positives.file,
        positives.line
    from positives
    inner join users on positives.user_id = users.user_id
    inner join items on positives.item_id = items.item_id
),

ordered_events as (
    select
        user_idx,
        row_number() over (partition by user_idx order by time, file, line) as position,
        item_idx,
        {% for attribute in item_attributes %}
        {{ attribute.index }},
        {% endfor %}
        time
    from indexed_events
)

select
    user_idx,
    position,
    item_idx,
    {% for attribute in item_attributes %}
    {{ attribute.index }},
    {% endfor %}
    time
from ordered_events
order by user_idx, position
