-- asset: test_predictions
-- given: kept_scores
-- Grain: one test sample, as test_predictions has it, with the answer of the model before: the last
-- one whose weights differ and that was asked about the very same samples. Empty where none was.
select
    model_version,
    user_idx,
    position,
    k,
    score
from kept_scores
order by user_idx, position, k
