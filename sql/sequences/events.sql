-- Each user's interactions, once, in order: the table everything else is a slice of.
-- Grain: one row per interaction (per positive one, where the log is labelled) of a user who has
-- min_interactions rows in the log (users.in_log).
-- position runs 1 ... n for each user by (time, file, line): ties in time are decided by the
-- source's own order, and a larger position is never earlier.
-- In a labelled log history_end is the position of the last event that is earlier in time, 0 where
-- there is none: rows of one moment are one list shown at once, and none of them knows of another.
with

positives as (
    select
        user_id,
        item_id,
        time,
        {% for number in context_dense %}
        {{ number.column }},
        {% endfor %}
        {% if several_files %}
        file,
        {% endif %}
        line
    from interactions
    {% if labelled %}
    where label = 1
    {% endif %}
),

ordered_events as (
    select
        users.user_idx,
        cast(
            row_number() over (
                partition by users.user_idx
                order by
                    positives.time,
                    {% if several_files %}
                    positives.file,
                    {% endif %}
                    positives.line
            ) as integer
        ) as position,
        positives.item_id,
        {% for number in context_dense %}
        positives.{{ number.column }},
        {% endfor %}
        positives.time
    from positives
    inner join users on positives.user_id = users.user_id
    where users.in_log
)

select
    ordered_events.user_idx,
    ordered_events.position,
    items.item_idx,
    {% for attribute in item_attributes %}
    items.{{ attribute.index }},
    {% endfor %}
    {% for number in context_dense %}
    ordered_events.{{ number.column }},
    {% endfor %}
    {% if labelled %}
    cast(
        min(ordered_events.position) over (
            partition by ordered_events.user_idx, ordered_events.time
        ) - 1 as integer
    ) as history_end,
    {% endif %}
    ordered_events.time
from ordered_events
inner join items on ordered_events.item_id = items.item_id
order by ordered_events.user_idx, ordered_events.position
