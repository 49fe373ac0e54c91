-- asset: test_auc
-- kind: query
-- Grain: one test sample with the answer of another model.
select
    'base_model' as rival,
    model_version,
    user_idx,
    position,
    k,
    score
from base_model_predictions
union all
select
    'previous_model' as rival,
    model_version,
    user_idx,
    position,
    k,
    score
from previous_predictions
order by rival, user_idx, position, k
