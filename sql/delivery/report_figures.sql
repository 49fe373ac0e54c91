-- asset: report
-- kind: query
-- The figures of the latest model on the test split, and of the model before where that was asked
-- about the same samples.
-- Grain: one figure of one model (model: 'now' or 'before') on the split or a part of it.
with

models as (
    select
        'now' as model,
        model_version
    from evaluated_model
    union all
    select distinct
        'before' as model,
        comparisons.rival_version as model_version
    from comparisons
    inner join evaluated_model on comparisons.model_version = evaluated_model.model_version
    where comparisons.rival = 'previous_model'
)

select
    models.model,
    metrics.slice,
    metrics.slice_value,
    metrics.metric,
    metrics.value,
    metrics.low,
    metrics.high,
    metrics.n_samples
from models
inner join metrics on models.model_version = metrics.model_version and metrics.split = 'test'
order by models.model, metrics.slice, metrics.slice_value, metrics.metric
