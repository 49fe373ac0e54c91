-- Negative samples, popular items more often, over the items the user never interacted with.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who interacted with every item. The row takes the position and time of its positive.
--
-- An item weighs max(1, round(16 * count ** 0.75)), count being its events: whole numbers, so that
-- sums are exact on any engine. Think of the catalogue as a ruler on which each item covers as many
-- marks as it weighs. A draw picks a mark of the whole ruler; where its item is interacted with, a
-- second draw picks one of the user's free marks (macros/second_draw.jinja says why that is exact).
{% from "macros/item_weights.jinja" import item_weights %}
{% from "macros/sampled_negatives.jinja" import negative_draws, negative_rows with context %}
{% from "macros/second_draw.jinja" import first_and_second_items, second_marks with context %}
with

{{ negative_draws() }}
{{ item_weights() }}
marks as (
    -- One pool, number 0. first_mark: where the item begins on the ruler, from 0.
    select
        0 as pool,
        item_idx,
        weight,
        cast(
            sum(weight) over (
                order by item_idx
                rows between unbounded preceding and current row
            ) as bigint
        ) - weight as first_mark
    from item_weights
),

pools as (
    -- The ruler is cut into at most as many pieces as there are items.
    select
        0 as pool,
        cast(sum(weight) as bigint) as n_marks,
        (cast(sum(weight) as bigint) + count(*) - 1) // count(*) as piece_length
    from item_weights
),

-- Which item covers a mark: one that begins within its piece, or the one that covers the beginning
-- of the piece. These are two for each piece on average, however the weights are spread.
beginnings as (
    select
        first_mark as mark,
        item_idx,
        -1 as piece
    from marks
    union all
    select
        (items.item_idx - 1) * pools.piece_length as mark,
        0 as item_idx,
        items.item_idx - 1 as piece
    from items
    cross join pools
),

covered_beginnings as (
    select
        piece,
        max(item_idx) over (
            order by mark, piece
            rows between unbounded preceding and current row
        ) as item_idx
    from beginnings
),

item_pieces as (
    select
        piece,
        item_idx
    from covered_beginnings
    where piece >= 0
    union all
    select
        marks.first_mark // pools.piece_length as piece,
        marks.item_idx
    from marks
    cross join pools
    where marks.first_mark % pools.piece_length > 0
),

candidates as (
    select
        item_pieces.piece,
        item_pieces.item_idx,
        marks.first_mark,
        marks.first_mark + marks.weight - 1 as last_mark
    from item_pieces
    inner join marks on item_pieces.item_idx = marks.item_idx
),

first_marks as (
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        draws.draw * pools.n_marks // 4294967296 as mark,
        draws.draw * pools.n_marks // 4294967296 // pools.piece_length as piece
    from draws
    cross join pools
),

first_items as (
    select
        first_marks.user_idx,
        first_marks.position,
        first_marks.k,
        first_marks.time,
        0 as pool,
        candidates.item_idx
    from first_marks
    inner join candidates
        on
            first_marks.piece = candidates.piece
            and first_marks.mark >= candidates.first_mark
            and first_marks.mark <= candidates.last_mark
),

{{ second_marks() }}
second_items as (
    select
        second_marks.user_idx,
        second_marks.position,
        second_marks.k,
        second_marks.time,
        candidates.item_idx
    from second_marks
    cross join pools
    inner join candidates
        on
            second_marks.mark // pools.piece_length = candidates.piece
            and second_marks.mark >= candidates.first_mark
            and second_marks.mark <= candidates.last_mark
),

{{ first_and_second_items() }}
{{ negative_rows() }}
