-- asset: negatives
-- severity: error
-- users: 20000
-- Every positive from position 2 on has exactly negatives_per_positive negatives, all of them items
-- of the catalogue, unless its user has interacted with every item. A missing one would change the
-- balance of labels from user to user. (Not checked where the head of the negatives' file allows
-- any_number: logged negatives are as many as were shown.)
-- what_to_do: Nothing is wrong with the log: `negatives` and `events` are of different runs, or a
-- sampler of your own leaves positives out. Run `din run --all`; a sampler that may draw other
-- numbers says so in its head (-- allows: any_number).
{% from "macros/checked_users.jinja" import checked_users with context %}
with

{{ checked_users() }}
checked_events as (
    select
        events.user_idx,
        events.position,
        events.item_idx
    from events
    inner join checked_users on events.user_idx = checked_users.user_idx
),

catalogue as (
    select count(*) as n_items
    from items
),

possible as (
    select
        checked_events.user_idx,
        count(distinct checked_events.item_idx) < max(catalogue.n_items) as has_free_items
    from checked_events
    cross join catalogue
    group by checked_events.user_idx
),

expected as (
    select
        checked_events.user_idx,
        checked_events.position,
        {% if "interacted_items" in negatives_allow %}
        {{ negatives_per_positive }} as n_expected
        {% else %}
        case when possible.has_free_items then {{ negatives_per_positive }} else 0 end as n_expected
        {% endif %}
    from checked_events
    inner join possible on checked_events.user_idx = possible.user_idx
    where checked_events.position >= 2
),

found as (
    select
        negatives.user_idx,
        negatives.position,
        count(distinct negatives.k) as n_found,
        count(items.item_idx) as n_known
    from negatives
    inner join checked_users on negatives.user_idx = checked_users.user_idx
    left join items on negatives.item_idx = items.item_idx
    group by negatives.user_idx, negatives.position
)

select
    coalesce(expected.user_idx, found.user_idx) as user_idx,
    coalesce(expected.position, found.position) as position,
    coalesce(expected.n_expected, 0) as n_expected,
    coalesce(found.n_found, 0) as n_found,
    coalesce(found.n_known, 0) as n_known
from expected
full outer join found
    on expected.user_idx = found.user_idx and expected.position = found.position
where
{% if "any_number" in negatives_allow %}
    false
{% else %}
    coalesce(found.n_found, 0) <> coalesce(expected.n_expected, 0)
    or coalesce(found.n_known, 0) <> coalesce(expected.n_expected, 0)
{% endif %}
