-- Negative samples, uniform over the items the user never touched.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who touched every item. The row takes the position and time of its positive.
--
-- Exact, without rejection: the draw picks the free_rank-th (from 0) of the user's n_free untouched
-- items. Below the j-th touched item lie item_idx - j untouched ones; so, with touched items and
-- draws merged on that scale, a running count says how many touched items a draw steps over.
{% from "macros/draw.jinja" import draws with context %}
{% from "macros/numbers.jinja" import numbers with context %}
with

positives as (
    select
        user_idx,
        position,
        time
    from events
    where position >= 2
),

{{ numbers() }}
keys as (
    select
        positives.user_idx,
        positives.position,
        numbers.k,
        positives.time
    from positives
    cross join numbers
),

{{ draws(["time"]) }}
catalogue as (
    select count(*) as n_items
    from items
),

touched_items as (
    select distinct
        user_idx,
        item_idx
    from events
),

free_counts as (
    select
        touched_items.user_idx,
        catalogue.n_items - count(*) as n_free
    from touched_items
    cross join catalogue
    group by touched_items.user_idx, catalogue.n_items
),

touched_keys as (
    select
        user_idx,
        item_idx,
        item_idx - row_number() over (partition by user_idx order by item_idx) as free_rank
    from touched_items
),

draw_keys as (
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        draws.draw * free_counts.n_free // 4294967296 as free_rank
    from draws
    inner join free_counts on draws.user_idx = free_counts.user_idx
    where free_counts.n_free > 0
),

merged_keys as (
    -- A touched item, with its own index in the place of the position and 0 in that of k, stands
    -- before the draws of the same rank: they step over it.
    select
        user_idx,
        2 * free_rank as place,
        item_idx as position,
        0 as k,
        cast(null as bigint) as time,
        1 as n_touched
    from touched_keys
    union all
    select
        user_idx,
        2 * free_rank + 1 as place,
        position,
        k,
        time,
        0 as n_touched
    from draw_keys
),

stepped_over as (
    -- Draws of one place are alike here, whatever their order: no touched item is between them.
    select
        user_idx,
        position,
        k,
        time,
        cast(
            place // 2 + 1 + sum(n_touched) over (
                partition by user_idx
                order by place
                rows between unbounded preceding and current row
            ) as integer
        ) as item_idx
    from merged_keys
)

select
    stepped_over.user_idx,
    stepped_over.position,
    stepped_over.k,
    stepped_over.item_idx,
    {% for attribute in item_attributes %}
    items.{{ attribute.index }},
    {% endfor %}
    stepped_over.time
from stepped_over
inner join items on stepped_over.item_idx = items.item_idx
where stepped_over.k >= 1
order by stepped_over.user_idx, stepped_over.position, stepped_over.k
