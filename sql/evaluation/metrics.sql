-- asset: test_auc
-- given: kept_metrics, new_metrics
-- Grain: one figure of one model on a split or a part of it. The figures of the latest model, and
-- of those before it, so that two models can be compared in SQL. `new_metrics` are the latest
-- model's and replace figures of the same model and split in `kept_metrics`, the table as it was; a
-- figure that is undefined (an AUC of samples with one label only) is NULL.
-- slice is 'all' and slice_value empty for the whole split. low and high are the ends of the 95%
-- interval (bootstrap over users), NULL where there is none.
-- is_current says whether a row is of the latest model, the one that was judged last; source and
-- evaluated_at are NULL in rows that an earlier version of this program wrote.
with

kept as (
    select
        kept_metrics.model_version,
        kept_metrics.split,
        kept_metrics.slice,
        kept_metrics.slice_value,
        kept_metrics.metric,
        kept_metrics.value,
        kept_metrics.low,
        kept_metrics.high,
        kept_metrics.n_samples,
        kept_metrics.source,
        kept_metrics.evaluated_at
    from kept_metrics
    where
        not exists (
            select 1
            from new_metrics
            where
                new_metrics.model_version = kept_metrics.model_version
                and new_metrics.split = kept_metrics.split
        )
),

final as (
    select
        model_version,
        split,
        slice,
        slice_value,
        metric,
        value,
        low,
        high,
        n_samples,
        source,
        evaluated_at,
        false as is_current
    from kept
    union all
    select
        model_version,
        split,
        slice,
        slice_value,
        metric,
        value,
        low,
        high,
        n_samples,
        source,
        evaluated_at,
        true as is_current
    from new_metrics
)

select
    model_version,
    split,
    slice,
    slice_value,
    metric,
    value,
    low,
    high,
    n_samples,
    source,
    evaluated_at,
    is_current
from final
order by model_version, split, slice, slice_value, metric
