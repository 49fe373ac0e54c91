-- needs: item_attributes
-- asset: warehouse
-- kind: view
-- What the log is about: the values of the first item attribute, by default the categories.
-- Grain: one row per value; items without one are left out, so that shares may add up to less
-- than 1.
{% from "macros/in_ids.jinja" import shown with context %}
{% set cate = item_attributes[0] %}
with

item_counts as (
    select
        {{ cate.index }} as cate_idx,
        count(*) as items
    from items
    group by {{ cate.index }}
),

interactions_of_items as (
    select
        user_idx,
        {{ cate.index }} as cate_idx,
        count(*) as n_events
    from events
    group by user_idx, {{ cate.index }}
),

counted as (
    select
        cate_idx,
        cast(sum(n_events) as bigint) as interactions,
        count(*) as users
    from interactions_of_items
    group by cate_idx
),

total as (
    select count(*) as interactions
    from events
),

final as (
    select
        cates.{{ cate.column }} as cate,
        coalesce(item_counts.items, 0) as items,
        coalesce(counted.interactions, 0) as interactions,
        coalesce(counted.users, 0) as users,
        coalesce(counted.interactions, 0) / total.interactions as share
    from cates
    cross join total
    left join item_counts on cates.{{ cate.index }} = item_counts.cate_idx
    left join counted on cates.{{ cate.index }} = counted.cate_idx
)

select
    cate as {{ shown(cate) }},
    items,
    interactions,
    users,
    share
from final
order by interactions desc, cate asc
