-- asset: bundle
-- kind: query
-- How many samples a model was trained, validated and tested on.
-- Grain: one row per split that has samples.
select
    split,
    count(*) as samples,
    cast(sum(label) as bigint) as positives
from sample_bounds
group by split
order by split
