-- asset: report
-- kind: query
-- The models that were judged, the current one first, then the others from the latest on.
-- Grain: one row per judged bundle of a model, of ten at most; judged_at is UTC.
select
    model_versions.model_version = evaluated_model.model_version as is_current,
    model_versions.model_version,
    model_versions.decision,
    model_versions.reason,
    model_versions.source,
    model_versions.judged_at,
    model_versions.n_test_users as n_users,
    model_versions.auc as value,
    model_versions.auc_low as low,
    model_versions.auc_high as high
from model_versions
cross join evaluated_model
order by is_current desc, model_versions.judged_at desc, model_versions.bundle_version asc
limit 10
