-- allows: interacted_items, any_number
-- Negative samples of a labelled log: the impressions that were not taken, as logged.
-- Grain: one row per interaction with label 0 of a known user who has an earlier positive.
-- position: the user's positives that are earlier in time, plus 1, so that the history before it is
-- what the user had done when the impression was shown; a positive of the same moment was shown
-- with it. k numbers the impressions at one position, from 1.
with

impressions as (
    select
        users.user_idx,
        items.item_idx,
        {% for attribute in item_attributes %}
        items.{{ attribute.index }},
        {% endfor %}
        {% for number in context_dense %}
        interactions.{{ number.column }},
        {% endfor %}
        interactions.time,
        interactions.file,
        interactions.line,
        cast(interactions.label as bigint) as label
    from interactions
    inner join users on interactions.user_id = users.user_id
    inner join items on interactions.item_id = items.item_id
    where users.in_log
),

placed as (
    -- Both sums are over whole moments: those up to the row's own, less its own.
    select
        user_idx,
        item_idx,
        {% for attribute in item_attributes %}
        {{ attribute.index }},
        {% endfor %}
        {% for number in context_dense %}
        {{ number.column }},
        {% endfor %}
        time,
        file,
        line,
        label,
        cast(
            1 + sum(label) over (
                partition by user_idx
                order by time
                range between unbounded preceding and current row
            ) - sum(label) over (partition by user_idx, time) as integer
        ) as position
    from impressions
)

select
    user_idx,
    position,
    cast(
        row_number() over (partition by user_idx, position order by time, file, line) as integer
    ) as k,
    item_idx,
    {% for attribute in item_attributes %}
    {{ attribute.index }},
    {% endfor %}
    {% for number in context_dense %}
    {{ number.column }},
    {% endfor %}
    time
from placed
where label = 0 and position >= 2
order by user_idx, position, k
