-- The ten questions of analysts.md, to run in any DuckDB client against the published file:
-- duckdb -readonly data/warehouse.duckdb < docs/questions.sql

-- 1. Which items are the most popular?
select rank, item_id, cate_id, interactions, users, cumulative_share
from item_popularity
order by rank
limit 10;

-- 2. Who has the longest history?
select user_id, interactions, distinct_items, distinct_cates, first_time, last_time
from user_activity
order by interactions desc, user_id
limit 10;

-- 3. Is the target's category already in the history, and what does the model say then?
select
    label,
    cate_in_history > 0 as cate_seen,
    count(*) as samples,
    count(*) / sum(count(*)) over (partition by label) as share_of_label,
    avg(score) as mean_score
from predictions
group by label, cate_seen
order by label, cate_seen;

-- 4. Does the model know more about users with a longer history?
select history, samples, positives, round(auc, 4) as auc
from prediction_quality
order by history = 'all', shortest_history;

-- 5. How many test positives are items that training never saw?
select
    count(*) as test_positives,
    count(*) filter (where item_popularity = 0) as new_items,
    count(*) filter (where item_popularity = 0) / count(*) as share_new
from predictions
where label = 1;

-- 6. How much of the log is repetition?
select
    sum(interactions) as interactions,
    sum(repeat_interactions) as repeats,
    sum(repeat_interactions) / sum(interactions) as share_of_interactions,
    count(*) filter (where repeat_interactions > 0) / count(*) as share_of_users
from user_activity;

-- 7. How many events tie in time with the one before?
with neighbours as (
    select time, lag(time) over (partition by user_idx order by position) as time_before
    from events
)

select
    count(time_before) as neighbours,
    count(*) filter (where time = time_before) as ties,
    count(*) filter (where time = time_before) / count(time_before) as share
from neighbours;

-- 8. How often do users switch category from one event to the next?
with neighbours as (
    select cate_idx, lag(cate_idx) over (partition by user_idx order by position) as cate_before
    from events
)

select
    count(cate_before) as steps,
    count(*) filter (where cate_idx <> cate_before) as switches,
    count(*) filter (where cate_idx <> cate_before) / count(cate_before) as share
from neighbours;

-- 9. Are negatives less popular than positives?
select
    label,
    count(*) as samples,
    avg(item_popularity) as mean_popularity,
    median(item_popularity) as median_popularity
from predictions
group by label
order by label;

-- 10. Are the scores probabilities?
select decile, samples, mean_score, share_of_positives, mean_score - share_of_positives as too_high_by
from calibration
order by decile;
