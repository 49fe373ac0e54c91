-- asset: samples
-- severity: error
-- Leave-one-out: every user with four or more events has a positive in train, in val and in test,
-- the heaviest users included. In a labelled log, every user with events at four or more times. (A
-- temporal split promises this to nobody: not checked.)
with

{% if labelled %}
moments as (
    select
        user_idx,
        time,
        count(*) as n_events
    from events
    group by user_idx, time
),

numbered_moments as (
    select
        user_idx,
        n_events,
        row_number() over (partition by user_idx order by time) as from_the_start,
        row_number() over (partition by user_idx order by time desc) as from_the_end
    from moments
),

expected as (
    select
        user_idx,
        sum(case when from_the_start >= 2 and from_the_end >= 3 then n_events end) as n_train,
        sum(case when from_the_end = 2 then n_events end) as n_val,
        sum(case when from_the_end = 1 then n_events end) as n_test
    from numbered_moments
    group by user_idx
    having count(*) >= 4
),
{% else %}
expected as (
    select
        user_idx,
        count(*) - 3 as n_train,
        1 as n_val,
        1 as n_test
    from events
    group by user_idx
    having count(*) >= 4
),
{% endif %}

splits as (
    select
        user_idx,
        count(case when split = 'train' then 1 end) as n_train,
        count(case when split = 'val' then 1 end) as n_val,
        count(case when split = 'test' then 1 end) as n_test
    from sample_bounds
    where label = 1
    group by user_idx
)

select
    expected.user_idx,
    expected.n_train as expected_train,
    expected.n_val as expected_val,
    expected.n_test as expected_test,
    splits.n_train,
    splits.n_val,
    splits.n_test
from expected
left join splits on expected.user_idx = splits.user_idx
where
{% if split == "leave_one_out" %}
    splits.user_idx is null
    or splits.n_train <> expected.n_train
    or splits.n_val <> expected.n_val
    or splits.n_test <> expected.n_test
{% else %}
    false
{% endif %}
