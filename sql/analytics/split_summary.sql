-- asset: warehouse
-- kind: view
-- The three splits side by side.
-- Grain: one row per split that has samples.
-- A time beyond the year 9999 shows as its end (see the check events_times_plausible).
{% from "macros/in_ids.jinja" import timestamp_of with context %}
with

labelled_samples as (
    select
        split,
        label,
        user_idx,
        target_item_idx,
        time,
        least(history_end, {{ max_history }}) as history_length
    from encoded_samples
),

counted as (
    select
        split,
        count(*) as samples,
        cast(sum(label) as bigint) as positives,
        sum(label) / count(*) as share_of_positives,
        min(time) as first_time,
        max(time) as last_time,
        avg(history_length) as mean_history_length
    from labelled_samples
    group by split
),

-- Distinct first, then counted: half the memory of count(distinct ...).
split_users as (
    select distinct
        split,
        user_idx
    from labelled_samples
),

split_items as (
    select distinct
        split,
        target_item_idx
    from labelled_samples
),

user_counts as (
    select
        split,
        count(*) as users
    from split_users
    group by split
),

item_counts as (
    select
        split,
        count(*) as items
    from split_items
    group by split
),

final as (
    select
        counted.split,
        counted.samples,
        counted.positives,
        counted.share_of_positives,
        user_counts.users,
        item_counts.items,
        {{ timestamp_of("counted." ~ quote("first_time")) }} as first_time,
        {{ timestamp_of("counted." ~ quote("last_time")) }} as last_time,
        counted.mean_history_length
    from counted
    inner join user_counts on counted.split = user_counts.split
    inner join item_counts on counted.split = item_counts.split
)

select
    split,
    samples,
    positives,
    share_of_positives,
    users,
    items,
    first_time,
    last_time,
    mean_history_length
from final
order by first_time, split
