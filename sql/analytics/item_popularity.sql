-- asset: warehouse
-- kind: view
-- How often each item was interacted with, most popular first.
-- Grain: one row per item. Interactions are the events of known users; an item that only occurs in
-- what was left out (users below min_interactions, impressions not taken) has 0.
-- rank is unique, ties go to the smaller id; cumulative_share is the share of all interactions that
-- fall on the items up to this rank.
{% from "macros/in_ids.jinja" import shown, vocabulary_of with context %}
with

{% for attribute in item_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
-- One row per user and item first: it costs less memory than counting distinct users.
interactions_of_items as (
    select
        user_idx,
        item_idx,
        count(*) as n_events
    from events
    group by user_idx, item_idx
),

counted as (
    select
        item_idx,
        cast(sum(n_events) as bigint) as interactions,
        count(*) as users
    from interactions_of_items
    group by item_idx
),

listed as (
    select
        items.item_idx,
        items.item_id,
        {% for attribute in item_attributes %}
        {{ attribute.vocabulary }}.value as {{ shown(attribute) }},
        {% endfor %}
        coalesce(counted.interactions, 0) as interactions,
        coalesce(counted.users, 0) as users
    from items
    left join counted on items.item_idx = counted.item_idx
    {% for attribute in item_attributes %}
    left join {{ attribute.vocabulary }}
        on items.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
),

final as (
    select
        *,
        row_number() over most_popular_first as rank,
        interactions / sum(interactions) over () as share,
        sum(interactions) over most_popular_first / sum(interactions) over () as cumulative_share
    from listed
    window
        most_popular_first as (
            order by interactions desc, item_idx asc
            rows between unbounded preceding and current row
        )
)

select
    item_id,
    {% for attribute in item_attributes %}
    {{ shown(attribute) }},
    {% endfor %}
    rank,
    interactions,
    users,
    share,
    cumulative_share
from final
order by rank
