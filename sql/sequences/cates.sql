-- kind: view
-- Vocabulary of the first item attribute, by default the category: `attributes` of this one alone.
-- Grain: one row per value, as in the source. 0 means unknown.
{% from "macros/in_ids.jinja" import value_of %}
{% if item_attributes %}
{% set cate = item_attributes[0] %}
select
    value_idx as {{ cate.index }},
    {{ value_of(cate) }} as {{ cate.column }}
from attributes
where attribute = {{ cate.literal }}
{% else %}
-- The source names no item attribute: the view is there, and empty.
select
    cast(null as integer) as cate_idx,
    cast(null as bigint) as cate_id
where false
{% endif %}
