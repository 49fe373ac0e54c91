-- asset: warehouse
-- kind: view
-- Whether a score is the probability it claims to be: mean score and share of positives should
-- agree in every row.
-- Grain: one row per tenth of the test samples, ordered by score; 1 holds the lowest scores.
with

tenths as (
    select
        label,
        score,
        ntile(10) over (order by score, user_idx, position, k) as decile
    from test_predictions
),

final as (
    select
        decile,
        count(*) as samples,
        min(score) as lowest_score,
        max(score) as highest_score,
        avg(score) as mean_score,
        avg(label) as share_of_positives
    from tenths
    group by decile
)

select
    decile,
    samples,
    lowest_score,
    highest_score,
    mean_score,
    share_of_positives
from final
order by decile
