-- asset: samples
-- severity: error
-- users: 5000
-- Each history is strictly earlier than its target: it holds the max_history most recent events (or
-- as many as there are) before the position; in a labelled log, before the time, since rows of one
-- moment are shown at once. A history that holds its own target, or what was clicked in the same
-- list, lets a model look up the answer.
-- what_to_do: Do not use the model: it may have seen its answers. Run `din run --all`; after a
-- change of the SQL look at `user_sequences` and `encoded_samples`; if neither helps, report it
-- with the examples.
{% from "macros/checked_users.jinja" import checked_users with context %}
{% from "macros/lists.jinja" import oldest_of, newest_of with context %}
{% from "macros/events_before.jinja" import judged_samples with context %}
with

{{ checked_users() }}
{{ judged_samples() }}
final as (
    select
        judged_samples.user_idx,
        judged_samples.position,
        judged_samples.label,
        judged_samples.target_item_idx,
        judged_samples.hist_item_idx,
        judged_samples.time,
        judged_samples.n_before,
        oldest.item_idx as oldest_item,
        newest.item_idx as newest_item,
        newest.time as newest_time,
        target.item_idx as item_at_position,
        target.time as time_at_position
    from judged_samples
    left join checked_events as oldest
        on
            judged_samples.user_idx = oldest.user_idx
            and greatest(1, judged_samples.n_before - {{ max_history - 1 }}) = oldest.position
    left join checked_events as newest
        on
            judged_samples.user_idx = newest.user_idx
            and judged_samples.n_before = newest.position
    left join checked_events as target
        on
            judged_samples.user_idx = target.user_idx
            and judged_samples.position = target.position
)

select
    user_idx,
    position,
    label,
    target_item_idx,
    hist_item_idx,
    time,
    n_before,
    oldest_item,
    newest_item,
    newest_time
from final
where
    n_before < 1
    or array_length(hist_item_idx) is distinct from least(n_before, {{ max_history }})
    or {{ oldest_of(quote("hist_item_idx")) }} is distinct from oldest_item
    or {{ newest_of(quote("hist_item_idx")) }} is distinct from newest_item
    {% if labelled %}
    or newest_time >= time
    {% else %}
    or newest_time > time
    {% endif %}
    or (
        label = 1
        and (
            item_at_position is distinct from target_item_idx
            or time_at_position is distinct from time
        )
    )
