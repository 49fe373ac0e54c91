-- asset: warehouse
-- kind: view
-- What each variant of the training is worth: its figures, and its test AUC minus the base's on the
-- same samples.
-- Grain: one row per variant of `ablation`, means over its seeds, the best one on validation first.
-- difference_low and difference_high hold 95%: they take in what other users would have given
-- (auc_difference_se) and what other seeds would (their spread; one seed says nothing of it).
-- A variant with other test samples, such as those of a temporal split, has no difference.
with

trials as (
    select
        variant,
        val_auc,
        test_auc,
        test_gauc,
        test_logloss,
        auc_difference,
        auc_difference_se,
        seconds,
        options
    from ablation
),

means as (
    select
        variant,
        count(*) as n_seeds,
        avg(val_auc) as val_auc,
        avg(test_auc) as test_auc,
        stddev_samp(test_auc) as test_auc_sd,
        avg(test_gauc) as test_gauc,
        avg(test_logloss) as test_logloss,
        avg(auc_difference) as difference,
        avg(auc_difference_se) as se_of_users,
        coalesce(var_samp(auc_difference) / count(auc_difference), 0.0) as variance_of_seeds,
        avg(seconds) as seconds,
        min(options) as options
    from trials
    group by variant
),

final as (
    select
        variant,
        n_seeds,
        val_auc,
        test_auc,
        test_auc_sd,
        test_gauc,
        test_logloss,
        difference,
        1.96 * sqrt(se_of_users * se_of_users + variance_of_seeds) as half_width,
        seconds,
        options
    from means
)

select
    variant,
    n_seeds,
    val_auc,
    test_auc,
    test_auc_sd,
    test_gauc,
    test_logloss,
    difference,
    difference - half_width as difference_low,
    difference + half_width as difference_high,
    seconds,
    options
from final
order by val_auc desc, variant asc
