-- given: ablation_trials
-- Grain: one trial: one variant of the training, with one seed. The variant `base` is what the
-- others are compared with; `options` are those that differ from it, as JSON.
-- `ablation_trials` are the trials as they were trained, with these columns.
select
    variant,
    seed,
    val_auc,
    test_auc,
    test_gauc,
    test_logloss,
    auc_difference,
    auc_difference_se,
    n_test_samples,
    epochs,
    best_epoch,
    seconds,
    options
from ablation_trials
order by variant, seed
