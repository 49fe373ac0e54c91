-- Vocabulary of the items, with the attributes that describe them.
-- Grain: one row per item that occurs in interactions; indices run 1 ... n in the order of the ids.
-- 0 means unknown.
-- An attribute is decided here, once, for everything below: the value most interactions with the
-- item agree on, then the smallest; 0 where none of them says.
-- A number is decided alike; NULL where none of them says.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/decided_value.jinja" import decided_values, decided_columns, decided_joins %}
{% from "macros/decided_number.jinja" import decided_numbers, number_columns, number_joins %}
with

known_items as (
    select distinct item_id
    from interactions
),

{{ decided_values(quote("item_id"), item_attributes) }}
{{ decided_numbers(quote("item_id"), item_dense) }}
numbered_items as (
    select
        cast(row_number() over (order by item_id) as integer) as item_idx,
        item_id
    from known_items
)

select
    numbered_items.item_idx,
    numbered_items.item_id
{{- decided_columns(item_attributes) }}
{{- number_columns(item_dense) }}

from numbered_items
{{ decided_joins(quote("numbered_items"), quote("item_id"), item_attributes) }}
{{ number_joins(quote("numbered_items"), quote("item_id"), item_dense) }}
order by numbered_items.item_idx
