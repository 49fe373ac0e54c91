-- asset: report
-- kind: query
-- One answer of the model and what each event of the user's history does to it: of the explained
-- positives, the one to which its history matters most.
-- Grain: one event of that history, oldest first, of the twelve latest.
with

mattering as (
    select
        user_id,
        position,
        k,
        sum(abs(score_change)) as change
    from attention_weights
    where label = 1
    group by user_id, position, k
),

chosen as (
    select
        user_id,
        position,
        k
    from mattering
    order by change desc, user_id asc, position asc, k asc
    limit 1
),

final as (
    select
        attention_weights.*,
        row_number() over (order by attention_weights.history_position desc) as place
    from attention_weights
    inner join chosen
        on
            attention_weights.user_id = chosen.user_id
            and attention_weights.position = chosen.position
            and attention_weights.k = chosen.k
)

select
    user_id,
    target_item_id,
    {% for attribute in item_attributes[:1] %}
    cast({{ attribute.target }} as varchar) as target_value,
    cast({{ attribute.history }} as varchar) as hist_value,
    {% endfor %}
    score,
    hist_item_id,
    hist_time,
    attention_weight_item,
    weights_are_shares,
    score_change
from final
where place <= 12
order by history_position
