-- asset: test_auc
-- kind: query
-- Grain: one row of `test_predictions`, with the ids of its user and its item. The order is
-- fixed, so that a figure computed from it is the same to the last bit every time.
select
    test_predictions.user_idx,
    users.user_id,
    items.item_id,
    test_predictions.label,
    test_predictions.score,
    test_predictions.item_popularity
from test_predictions
inner join users on test_predictions.user_idx = users.user_idx
inner join items on test_predictions.target_item_idx = items.item_idx
order by test_predictions.user_idx, test_predictions.position, test_predictions.k
