-- asset: test_auc
-- kind: query
-- Grain: one row of `test_predictions`, with the ids of its user and its item, and what slices are
-- cut by. The order is fixed, so that a figure computed from it is the same to the last bit every
-- time.
{% from "macros/history.jinja" import history_of with context %}
with

-- A sampled negative has the time of its positive; a logged one has its own.
timed as (
    select
        test_predictions.user_idx,
        test_predictions.target_item_idx,
        test_predictions.label,
        test_predictions.score,
        test_predictions.item_popularity,
        test_predictions.position,
        test_predictions.k,
        test_predictions.history_end,
        test_predictions.history_length,
        coalesce(negatives.time, own_events.time) as own_time,
        last_events.time as last_time
    from test_predictions
    left join negatives
        on
            test_predictions.user_idx = negatives.user_idx
            and test_predictions.position = negatives.position
            and test_predictions.k = negatives.k
    left join events as own_events
        on
            test_predictions.user_idx = own_events.user_idx
            and test_predictions.position = own_events.position
            and test_predictions.k = 0
    left join events as last_events
        on
            test_predictions.user_idx = last_events.user_idx
            and test_predictions.history_end = last_events.position
),

final as (
    select
        examples.user_idx,
        users.user_id,
        items.item_id,
        examples.target_item_idx,
        examples.label,
        examples.score,
        examples.item_popularity,
        examples.position,
        examples.k,
        examples.history_length,
        {% if item_attributes %}
        {% set category = item_attributes[0] %}
        -- An unknown value, index 0, is not the same as another unknown one.
        case
            when items.{{ category.index }} > 0
                then
                    case
                        when
                            array_contains(
                                {{ history_of("user_sequences." ~ category.sequence) }},
                                items.{{ category.index }}
                            )
                            then 1.0
                        else 0.0
                    end
        end as category_seen,
        {% else %}
        cast(null as double) as category_seen,
        {% endif %}
        cast(examples.own_time - examples.last_time as double) as seconds_since_last
    from timed as examples
    inner join users on examples.user_idx = users.user_idx
    inner join items on examples.target_item_idx = items.item_idx
    inner join user_sequences on examples.user_idx = user_sequences.user_idx
)

select
    user_idx,
    user_id,
    item_id,
    target_item_idx,
    label,
    score,
    item_popularity,
    position,
    k,
    history_length,
    cast(category_seen as double) as category_seen,
    seconds_since_last
from final
order by user_idx, position, k
