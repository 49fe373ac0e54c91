-- asset: report
-- kind: query
-- The latest model beside its rivals, on the same test samples.
-- Grain: one figure beside that of one rival; difference is the model's figure minus the rival's.
select
    comparisons.rival,
    comparisons.rival_version,
    comparisons.metric,
    comparisons.difference,
    comparisons.low,
    comparisons.high,
    comparisons.n_users
from comparisons
inner join evaluated_model on comparisons.model_version = evaluated_model.model_version
order by comparisons.rival, comparisons.metric
