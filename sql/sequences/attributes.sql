-- Vocabularies of all attributes of items and users, in one table.
-- Grain: one row per attribute and known value, at its index of known_ids; within an attribute the
-- indices run 1 ... n. 0 means unknown. Values are known as text.
select
    vocabulary as attribute,
    idx as value_idx,
    value
from known_ids
where
    false
    {% for attribute in item_attributes + user_attributes %}
    or vocabulary = {{ attribute.literal }}
    {% endfor %}
order by attribute, value_idx
