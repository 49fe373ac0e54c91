-- given: kept_model_versions, new_model_versions
-- Grain: one model that was judged, in a bundle of its own: the model, its figures, and what both
-- came from. Rows are only added: `kept_model_versions` is the table as it was, and of
-- `new_model_versions` a bundle that stands there already adds nothing.
-- decision and reason are those of the first judgement; `publications` has every later one.
with

final as (
    select
        model_version,
        bundle_version,
        judged_at,
        decision,
        reason,
        source,
        interactions_version,
        samples_version,
        n_test_samples,
        n_test_users,
        auc,
        auc_low,
        auc_high,
        gauc,
        gauc_low,
        gauc_high,
        logloss,
        logloss_low,
        logloss_high,
        compared_with,
        auc_difference,
        auc_difference_low,
        auc_difference_high,
        n_compared_samples,
        metrics,
        data_versions,
        code_versions,
        options,
        libraries,
        artifacts
    from kept_model_versions
    union all
    select
        new_model_versions.model_version,
        new_model_versions.bundle_version,
        new_model_versions.judged_at,
        new_model_versions.decision,
        new_model_versions.reason,
        new_model_versions.source,
        new_model_versions.interactions_version,
        new_model_versions.samples_version,
        new_model_versions.n_test_samples,
        new_model_versions.n_test_users,
        new_model_versions.auc,
        new_model_versions.auc_low,
        new_model_versions.auc_high,
        new_model_versions.gauc,
        new_model_versions.gauc_low,
        new_model_versions.gauc_high,
        new_model_versions.logloss,
        new_model_versions.logloss_low,
        new_model_versions.logloss_high,
        new_model_versions.compared_with,
        new_model_versions.auc_difference,
        new_model_versions.auc_difference_low,
        new_model_versions.auc_difference_high,
        new_model_versions.n_compared_samples,
        new_model_versions.metrics,
        new_model_versions.data_versions,
        new_model_versions.code_versions,
        new_model_versions.options,
        new_model_versions.libraries,
        new_model_versions.artifacts
    from new_model_versions
    left join kept_model_versions
        on new_model_versions.bundle_version = kept_model_versions.bundle_version
    where kept_model_versions.bundle_version is null
)

select
    model_version,
    bundle_version,
    judged_at,
    decision,
    reason,
    source,
    interactions_version,
    samples_version,
    n_test_samples,
    n_test_users,
    auc,
    auc_low,
    auc_high,
    gauc,
    gauc_low,
    gauc_high,
    logloss,
    logloss_low,
    logloss_high,
    compared_with,
    auc_difference,
    auc_difference_low,
    auc_difference_high,
    n_compared_samples,
    metrics,
    data_versions,
    code_versions,
    options,
    libraries,
    artifacts
from final
order by judged_at, bundle_version
