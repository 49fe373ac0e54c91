-- asset: test_auc
-- kind: query
-- Grain: one row of `test_rankings`, in a fixed order.
select
    user_idx,
    candidates,
    rank,
    popularity_rank
from test_rankings
order by candidates, user_idx, position
