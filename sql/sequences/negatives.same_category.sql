-- Hard negative samples: uniform over the untouched items of the positive's own category.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who touched every item. The row takes the position and time of its positive.
--
-- Where the user has touched the whole category, or the category is unknown (0), that draw is from
-- the whole catalogue, which is pool 0 here; other pools are the categories. Within a pool the
-- items have ranks 0, 1, 2 ... and the draw picks the rank of an untouched one, exactly and without
-- rejection: below the j-th touched item of a pool lie pool_rank - (j - 1) untouched ones; with
-- touched items and draws merged on that scale, a running count says how many a draw steps over.
{% from "macros/draw.jinja" import draws with context %}
{% from "macros/numbers.jinja" import numbers with context %}
{% set cate = item_attributes[0] %}
with

positives as (
    select
        user_idx,
        position,
        time,
        {{ cate.index }} as category
    from events
    where position >= 2
),

{{ numbers() }}
keys as (
    select
        positives.user_idx,
        positives.position,
        numbers.k,
        positives.time,
        positives.category
    from positives
    cross join numbers
),

{{ draws(["time", "category"]) }}
pool_items as (
    select
        {{ cate.index }} as pool,
        item_idx,
        row_number() over (partition by {{ cate.index }} order by item_idx) - 1 as pool_rank
    from items
    where {{ cate.index }} >= 1
    union all
    select
        0 as pool,
        item_idx,
        item_idx - 1 as pool_rank
    from items
),

pool_sizes as (
    select
        pool,
        count(*) as n_items
    from pool_items
    group by pool
),

touched_items as (
    select distinct
        user_idx,
        item_idx
    from events
),

touched_ranks as (
    select
        touched_items.user_idx,
        pool_items.pool,
        touched_items.item_idx,
        pool_items.pool_rank - row_number() over (
            partition by touched_items.user_idx, pool_items.pool
            order by touched_items.item_idx
        ) + 1 as free_rank
    from touched_items
    inner join pool_items on touched_items.item_idx = pool_items.item_idx
),

free_counts as (
    select
        touched_ranks.user_idx,
        touched_ranks.pool,
        pool_sizes.n_items - count(*) as n_free
    from touched_ranks
    inner join pool_sizes on touched_ranks.pool = pool_sizes.pool
    group by touched_ranks.user_idx, touched_ranks.pool, pool_sizes.n_items
),

pooled_draws as (
    -- The user has touched the positive itself, so each category drawn from is in free_counts.
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        draws.draw,
        case when own.n_free > 0 then draws.category else 0 end as pool
    from draws
    inner join free_counts as own
        on draws.user_idx = own.user_idx and draws.category = own.pool
),

draw_keys as (
    select
        pooled_draws.user_idx,
        pooled_draws.position,
        pooled_draws.k,
        pooled_draws.time,
        pooled_draws.pool,
        pooled_draws.draw * free_counts.n_free // 4294967296 as free_rank
    from pooled_draws
    inner join free_counts
        on pooled_draws.user_idx = free_counts.user_idx and pooled_draws.pool = free_counts.pool
    where free_counts.n_free > 0
),

merged_keys as (
    -- A touched item, with its own index in the place of the position and 0 in that of k, stands
    -- before the draws of the same rank: they step over it.
    select
        user_idx,
        pool,
        2 * free_rank as place,
        item_idx as position,
        0 as k,
        null as time,
        1 as n_touched
    from touched_ranks
    union all
    select
        user_idx,
        pool,
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
        pool,
        place // 2 + cast(
            sum(n_touched) over (
                partition by user_idx, pool
                order by place
                rows between unbounded preceding and current row
            ) as bigint
        ) as pool_rank
    from merged_keys
),

drawn_items as (
    select
        stepped_over.user_idx,
        stepped_over.position,
        stepped_over.k,
        stepped_over.time,
        pool_items.item_idx
    from stepped_over
    inner join pool_items
        on stepped_over.pool = pool_items.pool and stepped_over.pool_rank = pool_items.pool_rank
    where stepped_over.k >= 1
)

select
    drawn_items.user_idx,
    drawn_items.position,
    drawn_items.k,
    drawn_items.item_idx,
    {% for attribute in item_attributes %}
    items.{{ attribute.index }},
    {% endfor %}
    drawn_items.time
from drawn_items
inner join items on drawn_items.item_idx = items.item_idx
order by drawn_items.user_idx, drawn_items.position, drawn_items.k
