-- asset: negatives
-- kind: query
-- What all items weigh together where popular ones are drawn more often. A draw of 32 bits times
-- that has to fit into 64 bits.
-- Grain: one row, one column. Not a table: read before negatives.
{% from "macros/item_weights.jinja" import item_weights %}
with

{{ item_weights() }}
total as (
    select cast(sum(weight) as bigint) as n_marks
    from item_weights
)

select n_marks
from total
