-- asset: user_sequences
-- severity: error
-- Each user's lists are as long as the user has events: a list that lost or gained an event shifts
-- every history cut from it.
-- what_to_do: Nothing is wrong with the log: `events` and `user_sequences` are of different runs.
-- Run `din run --all`; if the check still fails, report it with the examples.
with

counted as (
    select
        user_idx,
        count(*) as n_events
    from events
    group by user_idx
)

select
    coalesce(counted.user_idx, user_sequences.user_idx) as user_idx,
    {% for attribute in item_attributes %}
    array_length(user_sequences.{{ attribute.sequence }}) as {{ attribute.index }},
    {% endfor %}
    array_length(user_sequences.items) as n_items,
    counted.n_events
from counted
full outer join user_sequences on counted.user_idx = user_sequences.user_idx
where
    counted.n_events is null
    or user_sequences.user_idx is null
    or counted.n_events <> array_length(user_sequences.items)
    {% for attribute in item_attributes %}
    or counted.n_events <> array_length(user_sequences.{{ attribute.sequence }})
    {% endfor %}
