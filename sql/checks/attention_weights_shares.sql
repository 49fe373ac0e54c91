-- asset: attention_weights
-- severity: error
-- Weights that are said to be shares add up to 1 over the history of a sample.
-- what_to_do: The model says that its weights are a softmax, and they are none. Run `din run
-- --all`; if the check still fails, report it with the examples, or set use_softmax to false.
with

summed as (
    select
        user_id,
        position,
        k,
        {% for attribute in item_attributes %}
        sum({{ quote("attention_weight_" ~ attribute.stem) }})
            as {{ quote("attention_weight_" ~ attribute.stem) }},
        {% endfor %}
        sum(attention_weight_item) as attention_weight_item
    from attention_weights
    where weights_are_shares
    group by user_id, position, k
)

select
    user_id,
    position,
    k,
    {% for attribute in item_attributes %}
    {{ quote("attention_weight_" ~ attribute.stem) }},
    {% endfor %}
    attention_weight_item
from summed
where
    not coalesce(abs(attention_weight_item - 1) < 1e-4, false)
    {% for attribute in item_attributes %}
    or not coalesce(abs({{ quote("attention_weight_" ~ attribute.stem) }} - 1) < 1e-4, false)
    {% endfor %}
