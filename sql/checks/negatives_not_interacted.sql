-- asset: negatives
-- severity: error
-- users: 200000
-- A sampled negative is an item its user never interacted with: one that the user did interact with
-- would teach the model the opposite of what the log says. (Not checked where the head of the
-- negatives' file allows interacted_items: logged negatives are what was shown.)
-- what_to_do: Nothing is wrong with the log: `negatives` and `events` are of different runs, or a
-- sampler of your own draws items of the user. Run `din run --all`; a sampler that may draw them
-- says so in its head (-- allows: interacted_items).
{% from "macros/checked_users.jinja" import checked_users with context %}
with

{{ checked_users() }}
checked_negatives as (
    select
        negatives.user_idx,
        negatives.position,
        negatives.k,
        negatives.item_idx
    from negatives
    inner join checked_users on negatives.user_idx = checked_users.user_idx
),

checked_events as (
    select distinct
        events.user_idx,
        events.item_idx
    from events
    inner join checked_users on events.user_idx = checked_users.user_idx
)

select
    checked_negatives.user_idx,
    checked_negatives.position,
    checked_negatives.k,
    checked_negatives.item_idx
from checked_negatives
inner join checked_events
    on
        checked_negatives.user_idx = checked_events.user_idx
        and checked_negatives.item_idx = checked_events.item_idx
{% if "interacted_items" in negatives_allow %}
where false
{% endif %}
