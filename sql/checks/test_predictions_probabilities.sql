-- asset: test_predictions
-- severity: error
-- Each score is a probability, from 0 to 1: NaN or a logit would still give an AUC.
-- what_to_do: The model answers with values that are no probabilities. Train again with a lower
-- learning_rate (ops: din_model: config); look for extreme values in the dense columns of the log.
select
    user_idx,
    position,
    k,
    score
from test_predictions
where score is null or not (score >= 0 and score <= 1)
