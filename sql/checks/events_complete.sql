-- asset: events
-- severity: error
-- Each interaction of a known user is one event (each positive one, where the log is labelled): a
-- history that lost or doubled an event is another history.
-- what_to_do: Nothing is wrong with the log: `interactions`, `users` and `events` are of different
-- runs. Run `din run --all`; if the check still fails, report it with the examples.
with

expected as (
    select
        users.user_idx,
        count(*) as n_interactions
    from interactions
    inner join users on interactions.user_id = users.user_id
    where
        users.in_log
        {% if labelled %}
        and interactions.label = 1
        {% endif %}
    group by users.user_idx
),

found as (
    select
        user_idx,
        count(*) as n_events
    from events
    group by user_idx
)

select
    coalesce(expected.user_idx, found.user_idx) as user_idx,
    expected.n_interactions,
    found.n_events
from expected
full outer join found on expected.user_idx = found.user_idx
where coalesce(expected.n_interactions, 0) <> coalesce(found.n_events, 0)
