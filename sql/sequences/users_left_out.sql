-- asset: users
-- kind: figure
-- How many users of the log have too few interactions to be in `users`.
-- Grain: one row, one column. Not a table: a figure to report.
select count(distinct interactions.user_id) as n_users
from interactions
left join users on interactions.user_id = users.user_id
where users.user_id is null or not users.in_log
