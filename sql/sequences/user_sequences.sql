-- Each user's whole behaviour sequence as lists, oldest first.
-- Grain: one row per user with events. Element p of a list belongs to the event at position p, so a
-- history is a slice of it.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
select
    user_idx,
    list(item_idx) over whole as items{% for attribute in item_attributes %},
    list({{ attribute.index }}) over whole as {{ attribute.sequence }}
{%- endfor %}

from events
window
    whole as (
        partition by user_idx
        order by position
        rows between unbounded preceding and unbounded following
    )
qualify position = 1
order by user_idx
