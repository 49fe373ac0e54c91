-- needs: item_attributes
-- Hard negative samples: uniform over the free items of the positive's own category.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who interacted with every item. The row takes the position and time of its positive.
--
-- The items of a category are a pool, and the whole catalogue is pool 0: the draw is from there
-- where the category is unknown (0), or the user has interacted with all of it. A draw picks an
-- item of the whole pool by its rank; where it is interacted with, a second draw picks one of those
-- that the user has not interacted with (macros/second_draw.jinja says why that is exact).
{% from "macros/sampled_negatives.jinja" import negative_draws, negative_rows with context %}
{% from "macros/second_draw.jinja" import first_and_second_items, second_marks with context %}
{% set cate = item_attributes[0] %}
with

{{ negative_draws(pool=cate.index) }}
marks as (
    -- first_mark: rank of the item in its pool, from 0; every item weighs 1.
    select
        {{ cate.index }} as pool,
        item_idx,
        cast(1 as bigint) as weight,
        row_number() over (partition by {{ cate.index }} order by item_idx) - 1 as first_mark
    from items
    where {{ cate.index }} >= 1
    union all
    select
        0 as pool,
        item_idx,
        cast(1 as bigint) as weight,
        item_idx - 1 as first_mark
    from items
),

pools as (
    select
        pool,
        count(*) as n_marks
    from marks
    group by pool
),

first_marks as (
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        draws.pool,
        draws.draw * pools.n_marks // 4294967296 as mark
    from draws
    inner join pools on draws.pool = pools.pool
),

first_items as (
    select
        first_marks.user_idx,
        first_marks.position,
        first_marks.k,
        first_marks.time,
        first_marks.pool,
        marks.item_idx
    from first_marks
    inner join marks on first_marks.pool = marks.pool and first_marks.mark = marks.first_mark
),

{{ second_marks() }}
second_items as (
    select
        second_marks.user_idx,
        second_marks.position,
        second_marks.k,
        second_marks.time,
        marks.item_idx
    from second_marks
    inner join marks on second_marks.pool = marks.pool and second_marks.mark = marks.first_mark
),

{{ first_and_second_items() }}
{{ negative_rows() }}
