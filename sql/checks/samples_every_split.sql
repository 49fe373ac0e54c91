-- asset: samples
-- severity: error
-- Leave-one-out: every user with four or more events has a positive in train, in val and in test,
-- the heaviest users included. In a labelled log, every positive with an earlier one is in the
-- split of its moment: the last two moments at which the user was shown anything are test and val,
-- clicked or not. (A temporal split promises this to nobody: not checked.)
-- what_to_do: Nothing is wrong with the log: `events` and `samples` are of different runs, or the
-- split was changed. Run `din run --all`; if the check still fails, report it with the examples.
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

shown_moments as (
    select distinct
        users.user_idx,
        interactions.time
    from interactions
    inner join users on interactions.user_id = users.user_id
),

numbered_shown_moments as (
    select
        user_idx,
        time,
        row_number() over (partition by user_idx order by time desc) as from_the_end
    from shown_moments
),

numbered_moments as (
    select
        moments.user_idx,
        moments.n_events,
        shown.from_the_end = 1 as is_test,
        shown.from_the_end <= 2 as is_held_out,
        row_number() over (partition by moments.user_idx order by moments.time) as number
    from moments
    inner join numbered_shown_moments as shown
        on moments.user_idx = shown.user_idx and moments.time = shown.time
),

expected as (
    -- The first moment has no history, so no sample.
    select
        user_idx,
        sum(case when is_held_out then 0 else n_events end) as n_train,
        sum(case when is_held_out and not is_test then n_events else 0 end) as n_val,
        sum(case when is_test then n_events else 0 end) as n_test
    from numbered_moments
    where number >= 2
    group by user_idx
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
