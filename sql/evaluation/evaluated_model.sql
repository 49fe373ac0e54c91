-- asset: test_auc
-- given: new_evaluated_model
-- Grain: one row, the model whose answers are in test_predictions, and what its scores mean.
-- odds_factor f turns a score s into the probability of a click, f s / (f s + 1 - s). It is NULL
-- where a score says only which candidate is likelier.
select
    model_version,
    score_is,
    trained_rate,
    base_rate,
    odds_factor,
    n_samples,
    n_users
from new_evaluated_model
