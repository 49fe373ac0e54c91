-- asset: bundle
-- kind: query
-- What a server counts items in (`log_numbers`): each event that training may see, which is up to
-- the user's last training positive.
-- Grain: one row per training event, in the order of items and times. time is in seconds.
{% from "macros/training_events.jinja" import training_events %}
with

{{ training_events() }}
final as (
    select
        item_idx,
        time
    from training_events
)

select
    item_idx,
    time
from final
order by item_idx, time
