-- asset: report
-- kind: query
-- What the model was trained, validated and tested on.
-- Grain: one row per split that has samples.
with

counted as (
    select
        split,
        count(*) as samples,
        cast(sum(label) as bigint) as positives,
        count(distinct user_idx) as users
    from sample_bounds
    group by split
)

select
    split,
    samples,
    positives,
    users
from counted
order by case when split = 'train' then 1 when split = 'val' then 2 else 3 end
