-- asset: samples
-- kind: figure
-- How many users of the log have no sample: none of their rows has an event before it (in a
-- labelled log, earlier in time), so there is no history to predict from.
-- Grain: one row, one column. Not a table: a figure to report.
with

sampled_users as (
    {% if labelled %}
    select distinct user_idx
    from sample_bounds
    {% else %}
    select user_idx
    from events
    where position = 2
    {% endif %}
)

select count(*) as n_users
from users
left join sampled_users on users.user_idx = sampled_users.user_idx
where users.in_log and sampled_users.user_idx is null
