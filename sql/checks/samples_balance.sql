-- asset: samples
-- severity: warn
-- Each split has samples of both labels, in about the balance of the whole. A split without
-- negatives has no AUC; one with another balance is not what the model was trained for.
-- what_to_do: No samples: lower min_interactions, or move val_from and test_from (ops: samples:
-- config) into the time of the log. No negatives: raise negatives_per_positive, or see the check
-- negatives_impossible. Another balance of a labelled log: compare the splits in the view
-- `split_summary`, and with a temporal split move its moments.
with

splits as (
    select 'train' as split
    union all
    select 'val' as split
    union all
    select 'test' as split
),

counted as (
    select
        split,
        count(*) as n_samples,
        sum(label) as n_positives
    from sample_bounds
    group by split
),

total as (
    select
        sum(n_samples) as n_samples,
        sum(n_positives) as n_positives
    from counted
)

select
    splits.split,
    coalesce(counted.n_samples, 0) as n_samples,
    coalesce(counted.n_positives, 0) as n_positives,
    case
        when counted.n_samples is null then 'no samples'
        when counted.n_positives = counted.n_samples then 'no negatives'
        when counted.n_positives = 0 then 'no positives'
        else 'another balance of labels than the whole'
    end as finding
from splits
cross join total
left join counted on splits.split = counted.split
where
    counted.n_samples is null
    or counted.n_positives = counted.n_samples
    or counted.n_positives = 0
    -- The share of positives is below half or above twice that of all samples.
    or counted.n_positives * total.n_samples * 2 < total.n_positives * counted.n_samples
    or counted.n_positives * total.n_samples > 2 * total.n_positives * counted.n_samples
