-- asset: warehouse
-- kind: view
-- How well the model orders the test samples, by how much it knew of the user.
-- Grain: one row per range of history lengths; the row 'all' is the whole test split, and its auc
-- is the one in metrics.
-- An AUC is the share of (positive, negative) pairs in the right order, ties count half. By ranks:
-- (sum of the positives' ranks - P * (P + 1) / 2) / (P * N), equal scores sharing their mean rank.
-- It is NULL where a range has samples of one label only.
with

ranges as (
    select
        listed.first_length,
        listed.last_length,
        listed.history
    from (
        values
        (1, 4, '1 to 4'),
        (5, 9, '5 to 9'),
        (10, 19, '10 to 19'),
        (20, 49, '20 to 49'),
        (50, 2147483647, '50 or more'),
        (0, 2147483647, 'all')
    ) as listed (first_length, last_length, history)
),

scored as (
    select
        ranges.history,
        test_predictions.history_length,
        test_predictions.label,
        test_predictions.score
    from ranges
    inner join test_predictions
        on test_predictions.history_length between ranges.first_length and ranges.last_length
),

ranked as (
    select
        history,
        history_length,
        label,
        score,
        rank() over (partition by history order by score) as first_rank,
        count(*) over (partition by history, score) as equal_scores
    from scored
),

counted as (
    select
        history,
        min(history_length) as shortest_history,
        max(history_length) as longest_history,
        count(*) as samples,
        cast(sum(label) as bigint) as positives,
        avg(score) as mean_score,
        avg(label) as share_of_positives,
        sum(case when label = 1 then first_rank + (equal_scores - 1) / 2 else 0 end) as rank_sum
    from ranked
    group by history
),

final as (
    select
        history,
        shortest_history,
        longest_history,
        samples,
        positives,
        mean_score,
        share_of_positives,
        case
            when positives > 0 and positives < samples
                then
                    (rank_sum - positives * (positives + 1) / 2)
                    / (cast(positives as double) * (samples - positives))
        end as auc
    from counted
)

select
    history,
    shortest_history,
    longest_history,
    samples,
    positives,
    mean_score,
    share_of_positives,
    auc
from final
order by
    case when history = 'all' then 1 else 0 end,
    shortest_history
