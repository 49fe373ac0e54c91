-- asset: known_ids
-- severity: error
-- Exactly the users with at least min_interactions rows are in the log: one too many is trained on
-- against the option, one too few is lost unseen.
-- what_to_do: Nothing is wrong with the log: `interactions` and `known_ids` are of different runs.
-- Run `din run --all`; if the check still fails, report it with the examples.
with

counted as (
    select
        cast(user_id as varchar) as user_id,
        count(*) as n_interactions
    from interactions
    group by user_id
),

users_in_log as (
    select
        value as user_id,
        idx as user_idx
    from known_ids
    where vocabulary = 'user' and in_log
)

select
    coalesce(counted.user_id, users_in_log.user_id) as user_id,
    users_in_log.user_idx,
    counted.n_interactions
from counted
full outer join users_in_log on counted.user_id = users_in_log.user_id
where
    counted.user_id is null
    or (users_in_log.user_id is null and counted.n_interactions >= {{ min_interactions }})
    or (users_in_log.user_id is not null and counted.n_interactions < {{ min_interactions }})
