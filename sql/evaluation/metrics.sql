-- asset: test_auc
-- given: new_metrics
-- Grain: one number. The figures of the current model, and of those before it, so that two models
-- can be compared in SQL. `new_metrics` are the current model's and replace figures of the same
-- model and split; a figure that is undefined (an AUC of samples with one label only) is NULL.
with

kept as (
    select
        metrics.model_version,
        metrics.split,
        metrics.metric,
        metrics.value
    from metrics
    where
        not exists (
            select 1
            from new_metrics
            where
                new_metrics.model_version = metrics.model_version
                and new_metrics.split = metrics.split
        )
),

final as (
    select
        model_version,
        split,
        metric,
        value
    from kept
    union all
    select
        model_version,
        split,
        metric,
        value
    from new_metrics
)

select
    model_version,
    split,
    metric,
    value
from final
order by model_version, split, metric
