-- asset: report
-- kind: query
-- The models that were judged, from the latest on.
-- Grain: one row per judged bundle of a model; judged_at is UTC.
-- decision and reason are the latest ones about it: published, refused or rolled back (to it).
with

decisions as (
    select
        bundle_version,
        decided_at,
        action,
        reason
    from publications
    where action in ('published', 'refused', 'rolled back')
),

latest as (
    select
        bundle_version,
        arg_max(action, decided_at) as action,
        arg_max(reason, decided_at) as reason
    from decisions
    group by bundle_version
),

served as (
    select arg_max(bundle_version, decided_at) as bundle_version
    from decisions
    where action in ('published', 'rolled back')
)

select
    model_versions.bundle_version,
    coalesce(model_versions.bundle_version = served.bundle_version, false) as is_served,
    model_versions.model_version,
    coalesce(latest.action, model_versions.decision) as decision,
    coalesce(latest.reason, model_versions.reason) as reason,
    model_versions.source,
    model_versions.judged_at,
    model_versions.n_test_users as n_users,
    model_versions.auc as value,
    model_versions.auc_low as low,
    model_versions.auc_high as high
from model_versions
cross join served
left join latest on model_versions.bundle_version = latest.bundle_version
order by model_versions.judged_at desc, model_versions.bundle_version asc
