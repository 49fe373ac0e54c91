-- asset: attention_weights
-- severity: error
-- Every score is a probability, and every weight and change is finite. NULL weights say that the
-- model has no attention, and then no event has one.
-- what_to_do: The model answers with values that are no numbers. Train again with a lower
-- learning_rate (ops: din_model: config); look for extreme values in the dense columns of the log.
with

counted as (
    select
        count(*) as n_rows,
        count(attention_weight_item) as n_weights
    from attention_weights
)

select
    attention_weights.user_id,
    attention_weights.position,
    attention_weights.k,
    attention_weights.history_position
from attention_weights
cross join counted
where
    not coalesce(attention_weights.score >= 0 and attention_weights.score <= 1, false)
    or not coalesce(
        attention_weights.score_without >= 0 and attention_weights.score_without <= 1, false
    )
    or not coalesce(abs(attention_weights.log_odds_change) <= 1e30, false)
    or abs(attention_weights.attention_weight_item) > 1e30
    {% for attribute in item_attributes %}
    or abs(attention_weights.{{ quote("attention_weight_" ~ attribute.stem) }}) > 1e30
    or (attention_weights.attention_weight_item is null)
    <> (attention_weights.{{ quote("attention_weight_" ~ attribute.stem) }} is null)
    {% endfor %}
    or counted.n_weights not in (0, counted.n_rows)
