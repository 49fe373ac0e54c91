-- Vocabularies of all attributes of items and users, in one table.
-- Grain: one row per attribute and value that occurs in interactions; within an attribute the
-- indices run 1 ... n in the order of the values (of numbers where the column holds integers, of
-- text otherwise). 0 means unknown.
{% set attributes = item_attributes + user_attributes %}
with

{% for attribute in attributes %}
{{ attribute.vocabulary }} as (
    select
        {{ attribute.literal }} as attribute,
        cast(row_number() over (order by {{ attribute.column }}) as integer) as value_idx,
        cast({{ attribute.column }} as varchar) as value
    from (
        select distinct {{ attribute.column }}
        from interactions
        where {{ attribute.column }} is not null
    ) as known_values
),

{% endfor %}
final as (
    -- The first part gives the columns their names and types, and no rows.
    select
        cast(null as varchar) as attribute,
        cast(null as integer) as value_idx,
        cast(null as varchar) as value
    where false
    {% for attribute in attributes %}
    union all
    select
        attribute,
        value_idx,
        value
    from {{ attribute.vocabulary }}
    {% endfor %}
)

select
    attribute,
    value_idx,
    value
from final
order by attribute, value_idx
