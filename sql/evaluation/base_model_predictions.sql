-- given: base_model_scores
-- Grain: one test sample, as test_predictions has it, with the answer of the paper's BaseModel,
-- trained with the options of din_model. Empty unless it was asked for.
select
    model_version,
    user_idx,
    position,
    k,
    score
from base_model_scores
order by user_idx, position, k
