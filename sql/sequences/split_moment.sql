-- asset: samples
-- kind: query
-- The moment at which a share of the events has passed: where a temporal split begins.
-- Grain: one row, one column. Not a table: its number becomes a literal in `samples`.
-- moment is the first time that more than `millionths` of the events do not come after. It is read
-- off interactions, with the filters of users and events, so it does not depend on what was built.
with

positives as (
    select
        user_id,
        time
    from interactions
    {% if labelled %}
    where label = 1
    {% endif %}
),

kept_users as (
    select user_id
    from interactions
    group by user_id
    having count(*) >= {{ min_interactions }}
),

times as (
    select
        positives.time,
        count(*) as n_events
    from positives
    inner join kept_users on positives.user_id = kept_users.user_id
    group by positives.time
),

passed as (
    select
        time,
        cast(
            sum(n_events) over (
                order by time
                rows between unbounded preceding and current row
            ) as bigint
        ) as n_events
    from times
),

total as (
    select max(n_events) as n_events
    from passed
)

select min(passed.time) as moment
from passed
cross join total
where passed.n_events * 1000000 > total.n_events * {{ millionths }}
