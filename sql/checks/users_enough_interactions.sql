-- asset: users
-- severity: error
-- Exactly the users with at least min_interactions interactions are kept (positive ones, where the
-- log is labelled): one too many is trained on against the option, one too few is lost unseen.
-- what_to_do: Nothing is wrong with the log: `interactions` and `users` are of different runs. Run
-- `din run --all`; if the check still fails, report it with the examples.
with

counted as (
    select
        user_id,
        {% if labelled %}
        count(case when label = 1 then 1 end) as n_interactions
        {% else %}
        count(*) as n_interactions
        {% endif %}
    from interactions
    group by user_id
)

select
    coalesce(counted.user_id, users.user_id) as user_id,
    users.user_idx,
    counted.n_interactions
from counted
full outer join users on counted.user_id = users.user_id
where
    counted.user_id is null
    or (users.user_id is null and counted.n_interactions >= {{ min_interactions }})
    or (users.user_id is not null and counted.n_interactions < {{ min_interactions }})
