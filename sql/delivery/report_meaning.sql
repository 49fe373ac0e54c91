-- asset: report
-- kind: query
-- What a score of the latest model is, and what it was judged on.
-- Grain: one row.
select
    model_version,
    score_is,
    trained_rate,
    base_rate,
    n_samples,
    n_users
from evaluated_model
