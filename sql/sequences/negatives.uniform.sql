-- Negative samples, uniform over the items the user never interacted with.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive; none for a user
-- who interacted with every item. The row takes the position and time of its positive.
--
-- Exact, from one draw, without rejection: of n_free free items a draw picks one number from
-- 1 ... n_free. The interacted items among those numbers are holes, the free items above them are
-- spares, and there are as many of the one as of the other: the j-th hole is filled by the j-th
-- spare. So each free item answers to one number. In a large catalogue next to no draw meets a
-- hole, and only the users of those that do have their items sorted.
{% from "macros/sampled_negatives.jinja" import negative_draws, negative_rows with context %}
{% from "macros/sampled_negatives.jinja" import interacted_items with context %}
with

{{ negative_draws() }}
catalogue as (
    select count(*) as n_items
    from items
),

{{ interacted_items() }}
free_counts as (
    select
        interacted_lists.user_idx,
        catalogue.n_items - array_length(interacted_lists.items) as n_free
    from interacted_lists
    cross join catalogue
),

drawn_numbers as (
    -- NULL is the number of a user who interacted with every item: it joins no item.
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        free_counts.n_free,
        case
            when free_counts.n_free >= 1
                then cast(draws.draw * free_counts.n_free // 4294967296 + 1 as integer)
        end as number
    from draws
    inner join free_counts on draws.user_idx = free_counts.user_idx
),

users_with_holes as (
    select distinct
        drawn_numbers.user_idx,
        drawn_numbers.n_free
    from drawn_numbers
    inner join interacted_items
        on
            drawn_numbers.user_idx = interacted_items.user_idx
            and drawn_numbers.number = interacted_items.item_idx
),

numbered_items as (
    select
        interacted_items.user_idx,
        interacted_items.item_idx,
        users_with_holes.n_free,
        row_number() over (
            partition by interacted_items.user_idx
            order by interacted_items.item_idx
        ) as j
    from interacted_items
    inner join users_with_holes on interacted_items.user_idx = users_with_holes.user_idx
),

items_above as (
    -- With the user's interacted items counted 1 ... n, these are all items above n_free.
    select
        user_idx,
        n_free + j as item_idx
    from numbered_items
),

spares as (
    select
        items_above.user_idx,
        items_above.item_idx,
        row_number() over (
            partition by items_above.user_idx
            order by items_above.item_idx
        ) as j
    from items_above
    left join numbered_items
        on
            items_above.user_idx = numbered_items.user_idx
            and items_above.item_idx = numbered_items.item_idx
    where numbered_items.item_idx is null
),

filled_holes as (
    select
        numbered_items.user_idx,
        numbered_items.item_idx as number,
        cast(spares.item_idx as integer) as item_idx
    from numbered_items
    inner join spares
        on numbered_items.user_idx = spares.user_idx and numbered_items.j = spares.j
    where numbered_items.item_idx <= numbered_items.n_free
),

drawn_items as (
    select
        drawn_numbers.user_idx,
        drawn_numbers.position,
        drawn_numbers.k,
        drawn_numbers.time,
        coalesce(filled_holes.item_idx, drawn_numbers.number) as item_idx
    from drawn_numbers
    left join filled_holes
        on
            drawn_numbers.user_idx = filled_holes.user_idx
            and drawn_numbers.number = filled_holes.number
)

{{ negative_rows() }}
