-- asset: samples
-- severity: error
-- users: 2000
-- What analysts see in `samples` is what training takes from `sample_bounds`: the same examples, in
-- the same split, with histories of the same length and end.
{% from "macros/checked_users.jinja" import checked_users with context %}
with

{{ checked_users() }}
both_sides as (
    select
        samples.user_id as user_idx,
        samples.position,
        samples.label,
        samples.target_item_id as item_idx,
        samples.split,
        samples.history_end,
        len(samples.hist_item_id) as history_length,
        1 as in_samples,
        0 as in_bounds
    from samples
    inner join checked_users on samples.user_id = checked_users.user_idx
    union all
    select
        sample_bounds.user_idx,
        sample_bounds.position,
        sample_bounds.label,
        sample_bounds.item_idx,
        sample_bounds.split,
        sample_bounds.history_end,
        sample_bounds.history_end - sample_bounds.history_start + 1 as history_length,
        0 as in_samples,
        1 as in_bounds
    from sample_bounds
    inner join checked_users on sample_bounds.user_idx = checked_users.user_idx
)

select
    user_idx,
    position,
    label,
    item_idx,
    split,
    history_end,
    history_length,
    sum(in_samples) as n_in_samples,
    sum(in_bounds) as n_in_sample_bounds
from both_sides
group by user_idx, position, label, item_idx, split, history_end, history_length
having sum(in_samples) <> sum(in_bounds)
