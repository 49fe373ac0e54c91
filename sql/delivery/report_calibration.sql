-- asset: report
-- kind: query
-- Whether scores are the shares that they claim to be.
-- Grain: one row per tenth of the test samples by score; the first has the lowest scores.
with

tenths as (
    select
        label,
        score,
        ntile(10) over (order by score, user_idx, position, k) as tenth
    from test_predictions
)

select
    tenth,
    count(*) as samples,
    avg(score) as mean_score,
    avg(label) as share_of_positives
from tenths
group by tenth
order by tenth
