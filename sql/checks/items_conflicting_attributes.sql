-- asset: items
-- severity: warn
-- Items that the log gives more than one value of an attribute or number. They are decided by
-- majority, then by the smallest value; many of them mean that the column describes the interaction
-- (a number then belongs in context_dense_cols), or that the source is inconsistent.
-- what_to_do: Look at the examples in the table `interactions`. A column that describes the
-- interaction belongs in context_dense_cols, not in item_attribute_cols or item_dense_cols; a
-- typing error belongs corrected in the source. A few need nothing done.
with

{% for attribute in item_attributes %}
{{ attribute.vocabulary }} as (
    select
        {{ attribute.literal }} as attribute,
        item_id,
        count(distinct {{ attribute.column }}) as n_values
    from interactions
    group by item_id
    having count(distinct {{ attribute.column }}) > 1
),

{% endfor %}
{% for number in item_dense %}
{{ number.relation }} as (
    select
        {{ number.literal }} as attribute,
        item_id,
        count(distinct {{ number.column }}) as n_values
    from interactions
    group by item_id
    having count(distinct {{ number.column }}) > 1
),

{% endfor %}
final as (
    select
        cast(null as varchar) as attribute,
        cast(null as varchar) as item_id,
        cast(null as bigint) as n_values
    where false
    {% for attribute in item_attributes %}
    union all
    select
        attribute,
        cast(item_id as varchar) as item_id,
        n_values
    from {{ attribute.vocabulary }}
    {% endfor %}
    {% for number in item_dense %}
    union all
    select
        attribute,
        cast(item_id as varchar) as item_id,
        n_values
    from {{ number.relation }}
    {% endfor %}
)

select
    attribute,
    item_id,
    n_values
from final
order by n_values desc, attribute asc, item_id asc
