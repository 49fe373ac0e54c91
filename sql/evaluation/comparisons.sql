-- asset: test_auc
-- given: kept_comparisons, new_comparisons
-- Grain: one figure of one model beside that of one rival on the same test samples. Those of
-- the latest model (`new_comparisons`) replace what `kept_comparisons`, the table as it was, holds
-- of it; those of earlier models stay.
-- difference is the model's figure minus the rival's. low and high are the ends of its 95%
-- interval, drawn as a pair: the same users for both. rival_version is NULL for what is no model.
-- is_current, source and evaluated_at are as in metrics.
with

kept as (
    select
        kept_comparisons.model_version,
        kept_comparisons.rival,
        kept_comparisons.rival_version,
        kept_comparisons.metric,
        kept_comparisons.difference,
        kept_comparisons.low,
        kept_comparisons.high,
        kept_comparisons.n_users,
        kept_comparisons.source,
        kept_comparisons.evaluated_at
    from kept_comparisons
    where
        not exists (
            select 1
            from new_comparisons
            where new_comparisons.model_version = kept_comparisons.model_version
        )
),

final as (
    select
        model_version,
        rival,
        rival_version,
        metric,
        difference,
        low,
        high,
        n_users,
        source,
        evaluated_at,
        false as is_current
    from kept
    union all
    select
        model_version,
        rival,
        rival_version,
        metric,
        difference,
        low,
        high,
        n_users,
        source,
        evaluated_at,
        true as is_current
    from new_comparisons
)

select
    model_version,
    rival,
    rival_version,
    metric,
    difference,
    low,
    high,
    n_users,
    source,
    evaluated_at,
    is_current
from final
order by model_version, rival, metric
