-- asset: samples
-- severity: error
-- Leave-one-out: every user with four or more events has a positive in train, in val and in test,
-- the heaviest users included. (A temporal split promises this to nobody: not checked.)
with

lengths as (
    select
        user_idx,
        count(*) as n_events
    from events
    group by user_idx
    having count(*) >= 4
),

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
    lengths.user_idx,
    lengths.n_events,
    splits.n_train,
    splits.n_val,
    splits.n_test
from lengths
left join splits on lengths.user_idx = splits.user_idx
where
{% if split == "leave_one_out" %}
    splits.user_idx is null
    or splits.n_train <> lengths.n_events - 3
    or splits.n_val <> 1
    or splits.n_test <> 1
{% else %}
    false
{% endif %}
