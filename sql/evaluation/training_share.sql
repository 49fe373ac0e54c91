-- asset: test_auc
-- kind: query
-- Grain: one row. How many samples of the split 'train' there are, and how many of them positive.
select
    count(*) as samples,
    cast(coalesce(sum(label), 0) as bigint) as positives
from sample_bounds
where split = 'train'
