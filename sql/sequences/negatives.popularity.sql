-- Negative samples, popular items more often, over the items the user never touched.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who touched every item. The row takes the position and time of its positive.
--
-- An item weighs max(1, round(16 * count ** 0.75)), count being its events: whole numbers, so that
-- sums are exact on any engine. Think of the catalogue as a ruler on which each item covers as many
-- marks as it weighs. The draw picks a mark of the untouched items, exactly, without rejection:
-- touched items and draws are merged on the scale of untouched marks, and a running sum says how
-- many touched marks a draw steps over.
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
item_counts as (
    select
        item_idx,
        count(*) as n_events
    from events
    group by item_idx
),

item_weights as (
    select
        items.item_idx,
        cast(
            greatest(1, round(16 * power(coalesce(item_counts.n_events, 0), 0.75))) as bigint
        ) as weight
    from items
    left join item_counts on items.item_idx = item_counts.item_idx
),

item_marks as (
    -- first_mark: where the item begins on the ruler, from 0.
    select
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

catalogue as (
    select
        cast(sum(weight) as bigint) as n_marks,
        max(weight) as heaviest
    from item_weights
),

touched_items as (
    select distinct
        user_idx,
        item_idx
    from events
),

touched_marks as (
    select
        touched_items.user_idx,
        touched_items.item_idx,
        item_marks.weight,
        item_marks.first_mark,
        cast(
            sum(item_marks.weight) over (
                partition by touched_items.user_idx
                order by touched_items.item_idx
                rows between unbounded preceding and current row
            ) as bigint
        ) as marks_so_far
    from touched_items
    inner join item_marks on touched_items.item_idx = item_marks.item_idx
),

free_counts as (
    select
        touched_marks.user_idx,
        catalogue.n_marks - max(touched_marks.marks_so_far) as n_free
    from touched_marks
    cross join catalogue
    group by touched_marks.user_idx, catalogue.n_marks
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
        2 * (first_mark - (marks_so_far - weight)) as place,
        weight as touched_weight,
        item_idx as position,
        0 as k,
        null as time
    from touched_marks
    union all
    select
        user_idx,
        2 * free_rank + 1 as place,
        cast(0 as bigint) as touched_weight,
        position,
        k,
        time
    from draw_keys
),

stepped_over as (
    -- Draws of one place are alike here, whatever their order: no touched item is between them.
    select
        user_idx,
        position,
        k,
        time,
        place // 2 + cast(
            sum(touched_weight) over (
                partition by user_idx
                order by place
                rows between unbounded preceding and current row
            ) as bigint
        ) as mark
    from merged_keys
),

drawn_marks as (
    select
        user_idx,
        position,
        k,
        time,
        mark
    from stepped_over
    where k >= 1
),

-- Which item covers a mark: the ruler is cut into pieces at least as long as the heaviest item, so
-- that an item lies in two pieces at most; within a piece the item that began last covers it.
piece_length as (
    select greatest(heaviest, n_marks // 4096 + 1) as n_marks
    from catalogue
),

item_pieces as (
    select
        item_marks.item_idx,
        item_marks.first_mark,
        item_marks.first_mark // piece_length.n_marks as piece
    from item_marks
    cross join piece_length
    union
    select
        item_marks.item_idx,
        item_marks.first_mark,
        (item_marks.first_mark + item_marks.weight - 1) // piece_length.n_marks as piece
    from item_marks
    cross join piece_length
),

marks_and_items as (
    select
        piece,
        first_mark as mark,
        item_idx,
        0 as user_idx,
        0 as position,
        0 as k,
        null as time
    from item_pieces
    union all
    select
        drawn_marks.mark // piece_length.n_marks as piece,
        drawn_marks.mark,
        cast(null as integer) as item_idx,
        drawn_marks.user_idx,
        drawn_marks.position,
        drawn_marks.k,
        drawn_marks.time
    from drawn_marks
    cross join piece_length
),

covered as (
    select
        user_idx,
        position,
        k,
        time,
        max(item_idx) over (
            partition by piece
            order by mark, user_idx, position, k
            rows between unbounded preceding and current row
        ) as item_idx
    from marks_and_items
)

select
    covered.user_idx,
    covered.position,
    covered.k,
    covered.item_idx,
    {% for attribute in item_attributes %}
    items.{{ attribute.index }},
    {% endfor %}
    covered.time
from covered
inner join items on covered.item_idx = items.item_idx
where covered.k >= 1
order by covered.user_idx, covered.position, covered.k
