-- asset: test_predictions
-- severity: error
-- Each score is a probability, from 0 to 1: NaN or a logit would still give an AUC.
select
    user_idx,
    position,
    k,
    score
from test_predictions
where score is null or not (score >= 0 and score <= 1)
