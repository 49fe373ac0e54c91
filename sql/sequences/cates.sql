-- Vocabulary of the first item attribute, by default the category.
-- Grain: one row per value that occurs in interactions; indices run 1 ... n in the order of the
-- values (of numbers where the column holds integers, of text otherwise). 0 means unknown.
{% if item_attributes %}
{% set cate = item_attributes[0] %}
with

known_values as (
    select distinct {{ cate.column }}
    from interactions
    where {{ cate.column }} is not null
)

select
    cast(row_number() over (order by {{ cate.column }}) as integer) as {{ cate.index }},
    {{ cate.column }}
from known_values
order by {{ cate.column }}
{% else %}
-- The source names no item attribute: the table is there, and empty.
select
    cast(null as integer) as cate_idx,
    cast(null as bigint) as cate_id
where false
{% endif %}
