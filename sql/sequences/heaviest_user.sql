-- asset: user_sequences
-- kind: query
-- Who has the most events, and how many: what an engine that gathers a user in one row can fail on.
-- Grain: one row, the first of those with as many. Not a table: read before user_sequences.
with

counted as (
    select
        user_idx,
        count(*) as n_events
    from events
    group by user_idx
),

most as (
    select max(n_events) as n_events
    from counted
)

select
    users.user_id,
    counted.n_events
from counted
inner join most on counted.n_events = most.n_events
inner join users on counted.user_idx = users.user_idx
order by users.user_idx
limit 1
