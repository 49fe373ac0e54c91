-- asset: attention_weights
-- severity: error
-- An explained sample has one row for each event of its history: an event that is missing, or is
-- counted twice, makes the others look like the whole reason.
-- what_to_do: Nothing is wrong with the log: `samples` and `attention_weights` disagree. Run `din
-- run --all`, which makes both again; if the check still fails, report it with the examples.
with

explained as (
    select
        users.user_idx,
        attention_weights.position,
        attention_weights.k,
        count(*) as n_rows,
        count(distinct attention_weights.history_position) as n_events,
        min(attention_weights.history_position) as first_event,
        max(attention_weights.history_position) as last_event
    from attention_weights
    inner join users on attention_weights.user_id = users.user_id
    group by users.user_idx, attention_weights.position, attention_weights.k
)

select
    explained.user_idx,
    explained.position,
    explained.k,
    explained.n_rows,
    explained.n_events,
    sample_bounds.history_start,
    sample_bounds.history_end
from explained
left join sample_bounds
    on
        explained.user_idx = sample_bounds.user_idx
        and explained.position = sample_bounds.position
        and explained.k = sample_bounds.k
        and sample_bounds.split = 'test'
where
    sample_bounds.user_idx is null
    or explained.n_rows <> explained.n_events
    or explained.n_events <> sample_bounds.history_end - sample_bounds.history_start + 1
    or explained.first_event <> sample_bounds.history_start
    or explained.last_event <> sample_bounds.history_end
