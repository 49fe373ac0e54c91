-- asset: negatives
-- severity: warn
-- Users who have interacted with every item: no negative exists for them, their positives are kept
-- alone. A few in a tiny catalogue do no harm; many leave too few negatives to learn from.
-- what_to_do: A few of such users need nothing done. If they are many, the catalogue is too small
-- to sample from: read a log with more items, a labelled one (label_col), or leave such users out
-- before the log is read.
with

catalogue as (
    select count(*) as n_items
    from items
),

interacted as (
    select
        user_idx,
        count(distinct item_idx) as n_items
    from events
    group by user_idx
)

select
    interacted.user_idx,
    interacted.n_items
from interacted
inner join catalogue on interacted.n_items = catalogue.n_items
{% if "interacted_items" in negatives_allow or negatives_per_positive == 0 %}
where false
{% endif %}
order by interacted.user_idx
