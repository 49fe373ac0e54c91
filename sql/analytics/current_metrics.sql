-- asset: warehouse
-- kind: view
-- How good the latest model is, published or refused, on the whole test split.
-- Grain: one row per figure; metrics has those of earlier models and of slices, too.
select
    metrics.metric,
    metrics.value,
    metrics.low,
    metrics.high,
    metrics.n_samples
from metrics
inner join evaluated_model on metrics.model_version = evaluated_model.model_version
where metrics.split = 'test' and metrics.slice = 'all'
order by metrics.metric
