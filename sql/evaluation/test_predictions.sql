-- given: model_scores
-- Grain: one test sample, in indices. What the model answered, beside what an analyst wants to
-- slice it by.
-- `model_scores` are the answers as they come from the model: (user_idx, position, k, score).
-- A position is unique within its user, k = 0 is the positive and k = 1, 2, ... its negatives.
with

bounds as (
    select
        user_idx,
        position,
        k,
        label,
        item_idx,
        history_start,
        history_end
    from sample_bounds
    where split = 'test'
),

held_out as (
    select
        user_idx,
        position
    from sample_bounds
    where split in ('val', 'test') and label = 1
),

-- How often an item was interacted with in what training may see: the popularity baseline's score.
popularity as (
    select
        events.item_idx,
        count(*) as n_interactions
    from events
    left join held_out
        on
            events.user_idx = held_out.user_idx
            and events.position = held_out.position
    where held_out.position is null
    group by events.item_idx
),

final as (
    select
        bounds.user_idx,
        bounds.item_idx as target_item_idx,
        bounds.label,
        model_scores.score,
        bounds.position,
        bounds.k,
        bounds.history_end,
        bounds.history_end - bounds.history_start + 1 as history_length,
        coalesce(popularity.n_interactions, 0) as item_popularity
    from bounds
    inner join model_scores
        on
            bounds.user_idx = model_scores.user_idx
            and bounds.position = model_scores.position
            and bounds.k = model_scores.k
    left join popularity on bounds.item_idx = popularity.item_idx
)

select
    user_idx,
    target_item_idx,
    label,
    score,
    position,
    k,
    history_end,
    history_length,
    item_popularity
from final
order by user_idx, position, k
