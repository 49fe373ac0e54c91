-- given: kept_ids
-- Every id that ever got an index, and keeps it: the vocabularies take their indices from here.
-- Grain: one row per vocabulary ('user', 'item', or the column of an attribute) and value, as text.
-- Within a vocabulary the indices run 1 ... n; 0 means unknown.
-- `kept_ids` is the table as it was: its rows stay. New ids come behind them in the order of the
-- ids (of numbers where the column holds integers, of text otherwise), so a first load numbers in
-- that order. load is the load that brought the id. A user is known from the first load on that has
-- min_interactions rows of the user, taken or not where the log is labelled: to count what was
-- taken would choose users by the labels that they are tested with.
-- in_log says whether the log that is read now has the id, of a user min_interactions times.
{% set attributes = item_attributes + user_attributes %}
with

kept as (
    select
        vocabulary,
        value,
        idx,
        load
    from kept_ids
),

{% for attribute in attributes %}
{{ attribute.vocabulary }} as (
    select
        {{ attribute.literal }} as vocabulary,
        cast({{ attribute.column }} as varchar) as value,
        row_number() over (order by {{ attribute.column }}) as place
    from (
        select distinct {{ attribute.column }}
        from interactions
        where {{ attribute.column }} is not null
    ) as values_in_log
),

{% endfor %}
users_in_log as (
    select
        'user' as vocabulary,
        cast(user_id as varchar) as value,
        row_number() over (order by user_id) as place
    from (
        select user_id
        from interactions
        group by user_id
        having count(*) >= {{ min_interactions }}
    ) as users_with_enough
),

items_in_log as (
    select
        'item' as vocabulary,
        cast(item_id as varchar) as value,
        row_number() over (order by item_id) as place
    from (
        select distinct item_id
        from interactions
    ) as distinct_items
),

in_log as (
    select
        vocabulary,
        value,
        place
    from users_in_log
    union all
    select
        vocabulary,
        value,
        place
    from items_in_log
    {% for attribute in attributes %}
    union all
    select
        vocabulary,
        value,
        place
    from {{ attribute.vocabulary }}
    {% endfor %}
),

last_indices as (
    select
        vocabulary,
        max(idx) as last_idx
    from kept
    group by vocabulary
),

new_ids as (
    select
        in_log.vocabulary,
        in_log.value,
        row_number() over (partition by in_log.vocabulary order by in_log.place) as place
    from in_log
    left join kept on in_log.vocabulary = kept.vocabulary and in_log.value = kept.value
    where kept.value is null
),

final as (
    select
        kept.vocabulary,
        kept.value,
        kept.idx,
        kept.load,
        in_log.value is not null as in_log
    from kept
    left join in_log on kept.vocabulary = in_log.vocabulary and kept.value = in_log.value
    union all
    select
        new_ids.vocabulary,
        new_ids.value,
        cast(coalesce(last_indices.last_idx, 0) + new_ids.place as integer) as idx,
        cast({{ load }} as integer) as load,
        true as in_log
    from new_ids
    left join last_indices on new_ids.vocabulary = last_indices.vocabulary
)

select
    vocabulary,
    value,
    idx,
    load,
    in_log
from final
order by vocabulary, idx
