-- What training needs of `samples`, without the histories: where each begins, not what it holds.
-- Grain: one row per sample; k = 0 is the positive, k = 1 ... n its negatives. The history of a row
-- is the user's events at the positions history_start ... position - 1. This is a view.
{% from "macros/split.jinja" import split_of with context %}
with

examples as (
    select
        user_idx,
        position,
        0 as k,
        1 as label,
        item_idx,
        time
    from events
    where position >= 2
    union all
    select
        user_idx,
        position,
        k,
        0 as label,
        item_idx,
        time
    from negatives
),

lengths as (
    select
        user_idx,
        array_length(items) as n_events
    from user_sequences
),

final as (
    select
        examples.user_idx,
        examples.position,
        examples.k,
        examples.label,
        examples.item_idx,
        {{ split_of() }} as split,
        greatest(1, examples.position - {{ max_history }}) as history_start
    from examples
    inner join lengths on examples.user_idx = lengths.user_idx
)

select
    user_idx,
    position,
    k,
    label,
    item_idx,
    split,
    history_start
from final
