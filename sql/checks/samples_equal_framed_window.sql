-- asset: samples
-- severity: error
-- users: 500
-- The histories, which are slices of stored lists, equal what the textbook says: a window framed
-- over the max_history rows up to the last event before the sample, over the ordered events. Shown
-- on some users, since the framed window is what the slices are there to spare.
-- what_to_do: Do not use the model: histories are not what they should be, whatever the log. Run
-- `din run --all`; if the check still fails, report it with the examples.
{% from "macros/checked_users.jinja" import checked_users with context %}
{% from "macros/events_before.jinja" import judged_samples with context %}
with

{{ checked_users() }}
{{ judged_samples() }}
framed as (
    select
        user_idx,
        position,
        {% for attribute in item_attributes %}
        list({{ attribute.index }}) over history as {{ attribute.history_index }},
        {% endfor %}
        list(item_idx) over history as hist_item_idx
    from checked_events
    window
        history as (
            partition by user_idx
            order by position
            rows between {{ max_history - 1 }} preceding and current row
        )
)

select
    judged_samples.user_idx,
    judged_samples.position,
    judged_samples.label,
    judged_samples.hist_item_idx as slice,
    framed.hist_item_idx as framed_window
from judged_samples
left join framed
    on judged_samples.user_idx = framed.user_idx and judged_samples.n_before = framed.position
where
    judged_samples.hist_item_idx is distinct from framed.hist_item_idx
    {% for attribute in item_attributes %}
    or judged_samples.{{ attribute.history_index }}
    is distinct from framed.{{ attribute.history_index }}
    {% endfor %}
