-- asset: warehouse
-- kind: view
-- Where the latest model is good and where it is not, on the test split.
-- Grain: one row per slice and its part; each sample belongs to at most one part of a slice, by its
-- candidate, so a positive and its negative can lie in different ones.
with

latest_slices as (
    select
        metrics.slice,
        metrics.slice_value,
        metrics.metric,
        metrics.value,
        metrics.low,
        metrics.high,
        metrics.n_samples
    from metrics
    inner join evaluated_model on metrics.model_version = evaluated_model.model_version
    where metrics.split = 'test' and metrics.slice <> 'all'
),

final as (
    select
        slice,
        slice_value,
        max(n_samples) as samples,
        max(case when metric = 'auc' then value end) as auc,
        max(case when metric = 'auc' then low end) as auc_low,
        max(case when metric = 'auc' then high end) as auc_high,
        max(case when metric = 'gauc' then value end) as gauc,
        max(case when metric = 'logloss' then value end) as logloss,
        max(case when metric = 'predicted_over_observed' then value end) as predicted_over_observed
    from latest_slices
    group by slice, slice_value
)

select
    slice,
    slice_value,
    samples,
    auc,
    auc_low,
    auc_high,
    gauc,
    logloss,
    predicted_over_observed
from final
order by slice, slice_value
