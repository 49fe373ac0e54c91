-- Vocabulary of the items, with the attributes that describe them.
-- Grain: one row per known item, at its index of known_ids; indices run 1 ... n. 0 means unknown.
-- An item that the log does not have any more stays: its attributes are 0 and its numbers NULL.
-- An attribute is decided here, once, for everything below: the value most interactions with the
-- item agree on, then the smallest; 0 where none of them says.
-- A number is decided alike; NULL where none of them says.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/decided_value.jinja" import decided_values, decided_columns, decided_joins %}
{% from "macros/decided_number.jinja" import decided_numbers, number_columns, number_joins %}
{% from "macros/in_ids.jinja" import value_of %}
with

{{ decided_values(quote("item_id"), item_attributes) }}
{{ decided_numbers(quote("item_id"), item_dense) }}
known_items as (
    select
        idx as item_idx,
        {{ value_of(item_ids) }} as item_id
    from known_ids
    where vocabulary = 'item'
)

select
    known_items.item_idx,
    known_items.item_id
{{- decided_columns(item_attributes) }}
{{- number_columns(item_dense) }}

from known_items
{{ decided_joins(quote("known_items"), quote("item_id"), item_attributes) }}
{{ number_joins(quote("known_items"), quote("item_id"), item_dense) }}
order by known_items.item_idx
