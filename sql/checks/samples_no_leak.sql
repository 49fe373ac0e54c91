-- asset: samples
-- severity: error
-- What is validated or tested on is not trained on. Leave-one-out: a user's positives of training
-- lie before the last two events. In a labelled log all rows count, and moments in the place of
-- events: training lies before the last two moments of the user, taken or not, and no moment is in
-- two splits. Temporal: training lies before the first moment of validation. Judged from `events`,
-- `negatives` and the moments, not from the expression that splits the samples.
-- what_to_do: Do not use the model: it may have been tested on what it was trained on. Run `din run
-- --all`; after a change of the SQL look at `sample_bounds`; if neither helps, report it with the
-- examples.
with

{% if labelled %}
judged as (
    select
        sample_bounds.user_idx,
        sample_bounds.position,
        sample_bounds.k,
        sample_bounds.split,
        coalesce(negatives.time, events.time) as time
    from sample_bounds
    left join events
        on
            sample_bounds.user_idx = events.user_idx
            and sample_bounds.position = events.position
            and sample_bounds.k = 0
    left join negatives
        on
            sample_bounds.user_idx = negatives.user_idx
            and sample_bounds.position = negatives.position
            and sample_bounds.k = negatives.k
),
{% elif split == "leave_one_out" %}
judged as (
    select
        user_idx,
        position,
        k,
        split
    from sample_bounds
    where label = 1
),
{% else %}
judged as (
    select
        sample_bounds.user_idx,
        sample_bounds.position,
        sample_bounds.k,
        sample_bounds.split,
        events.time
    from sample_bounds
    inner join events
        on
            sample_bounds.user_idx = events.user_idx
            and sample_bounds.position = events.position
    where sample_bounds.label = 1
),
{% endif %}

{% if split == "leave_one_out" and labelled %}
shown as (
    select
        user_idx,
        time
    from events
    union all
    select
        user_idx,
        time
    from negatives
),

last_moments as (
    select
        user_idx,
        max(time) as last_moment
    from shown
    group by user_idx
),

earlier_moments as (
    select
        shown.user_idx,
        max(shown.time) as moment_before_last
    from shown
    inner join last_moments
        on shown.user_idx = last_moments.user_idx and shown.time < last_moments.last_moment
    group by shown.user_idx
),

expected as (
    select
        judged.user_idx,
        judged.position,
        judged.k,
        judged.split,
        case
            when judged.time >= last_moments.last_moment then 'test'
            when judged.time < earlier_moments.moment_before_last then 'train'
            else 'val'
        end as expected_split
    from judged
    left join last_moments on judged.user_idx = last_moments.user_idx
    left join earlier_moments on judged.user_idx = earlier_moments.user_idx
)
{% elif split == "leave_one_out" %}
lengths as (
    select
        user_idx,
        max(position) as last_position
    from events
    group by user_idx
),

expected as (
    select
        judged.user_idx,
        judged.position,
        judged.k,
        judged.split,
        case
            when judged.position < lengths.last_position - 1 then 'train'
            when judged.position < lengths.last_position then 'val'
            else 'test'
        end as expected_split
    from judged
    inner join lengths on judged.user_idx = lengths.user_idx
)
{% else %}
expected as (
    select
        user_idx,
        position,
        k,
        split,
        case
            when time >= {{ test_from }} then 'test'
            when time >= {{ val_from }} then 'val'
            else 'train'
        end as expected_split
    from judged
)
{% endif %}

select
    user_idx,
    position,
    k,
    split,
    expected_split
from expected
where split <> expected_split
