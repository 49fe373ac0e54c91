-- asset: samples
-- severity: error
-- No positive of validation or test is also in training. Leave-one-out: what a user is trained on
-- lies before the last two events. Temporal: it lies before the first moment of validation. Judged
-- from `events` and the moments, not from the expression that splits the samples.
with

positives as (
    select
        user_idx,
        position,
        split
    from sample_bounds
    where label = 1
),

{% if split == "leave_one_out" %}
lengths as (
    select
        user_idx,
        max(position) as last_position
    from events
    group by user_idx
),

judged as (
    select
        positives.user_idx,
        positives.position,
        positives.split,
        case
            when positives.position < lengths.last_position - 1 then 'train'
            when positives.position < lengths.last_position then 'val'
            else 'test'
        end as expected_split
    from positives
    inner join lengths on positives.user_idx = lengths.user_idx
)
{% else %}
judged as (
    select
        positives.user_idx,
        positives.position,
        positives.split,
        case
            when events.time >= {{ test_from }} then 'test'
            when events.time >= {{ val_from }} then 'val'
            else 'train'
        end as expected_split
    from positives
    inner join events
        on positives.user_idx = events.user_idx and positives.position = events.position
)
{% endif %}

select
    user_idx,
    position,
    split,
    expected_split
from judged
where split <> expected_split
