-- Vocabulary of the items, with the attributes that describe them.
-- Grain: one row per item that occurs in interactions; indices run 1 ... n in the order of the ids.
-- 0 means unknown.
-- An attribute is decided here, once, for everything below: the value most interactions with the
-- item agree on, then the smallest; 0 where none of them says.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/decided_value.jinja" import decided_values %}
with

known_items as (
    select distinct item_id
    from interactions
),

{% for attribute in item_attributes %}
{{ decided_values(quote("item_id"), attribute) }}
{% endfor %}
numbered_items as (
    select
        cast(row_number() over (order by item_id) as integer) as item_idx,
        item_id
    from known_items
)

select
    numbered_items.item_idx,
    numbered_items.item_id
    {%- for attribute in item_attributes %}
    {% if loop.first %},
    coalesce(cates.{{ attribute.index }}, 0) as {{ attribute.index }}
    {%- else %},
    coalesce({{ attribute.vocabulary }}.value_idx, 0) as {{ attribute.index }}
    {%- endif %}
{%- endfor %}

from numbered_items
{% for attribute in item_attributes %}
left join {{ attribute.decision }}
    on numbered_items.item_id = {{ attribute.decision }}.item_id
{% if loop.first %}
left join cates
    on {{ attribute.decision }}.{{ attribute.column }} = cates.{{ attribute.column }}
{% else %}
left join attributes as {{ attribute.vocabulary }}
    on
        {{ attribute.vocabulary }}.attribute = {{ attribute.literal }}
        and cast({{ attribute.decision }}.{{ attribute.column }} as varchar)
        = {{ attribute.vocabulary }}.value
{% endif %}
{% endfor %}
order by numbered_items.item_idx
