-- Vocabularies of all attributes of items and users, in one table.
-- Grain: one row per attribute and known value, at its index of known_ids; within an attribute the
-- indices run 1 ... n. 0 means unknown. Values are known as text.
select
    vocabulary as attribute,
    idx as value_idx,
    value
from known_ids
where
    {% if item_attributes + user_attributes %}
    vocabulary in (
        {% for attribute in item_attributes + user_attributes %}
        {{ attribute.literal }}{% if not loop.last %},{% endif %}

        {% endfor %}
    )
    {% else %}
    false
    {% endif %}
order by attribute, value_idx
