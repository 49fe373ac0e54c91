-- asset: test_predictions
-- severity: error
-- Each test sample is answered once, and nothing else is: a sample that is missing or counted twice
-- makes the AUC that of another test.
-- what_to_do: Nothing is wrong with the log: `samples` and `test_predictions` are of different
-- runs. Run `din run --all`; if the check still fails, report it with the examples.
with

expected as (
    select
        user_idx,
        position,
        k,
        count(*) as n_samples
    from sample_bounds
    where split = 'test'
    group by user_idx, position, k
),

found as (
    select
        user_idx,
        position,
        k,
        count(*) as n_predictions
    from test_predictions
    group by user_idx, position, k
)

select
    coalesce(expected.user_idx, found.user_idx) as user_idx,
    coalesce(expected.position, found.position) as position,
    coalesce(expected.k, found.k) as k,
    expected.n_samples,
    found.n_predictions
from expected
full outer join found
    on
        expected.user_idx = found.user_idx
        and expected.position = found.position
        and expected.k = found.k
where coalesce(expected.n_samples, 0) <> coalesce(found.n_predictions, 0)
