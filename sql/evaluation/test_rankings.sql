-- given: model_ranks
-- Grain: one test positive among one set of candidates. rank is its place by the model's score,
-- popularity_rank by training interactions; 1 is the best, and half of the equals count as better.
-- The candidates are the positive and items that the user had not interacted with before: all of
-- them ('all'), or some drawn uniformly ('sampled').
select
    user_idx,
    position,
    candidates,
    target_item_idx,
    n_candidates,
    rank,
    popularity_rank
from model_ranks
order by candidates, user_idx, position
