-- given: event_explanations
-- What each event of a history means to an answer of the model, in ids, for a sample of the test
-- split. Weights multiply the event's embeddings; they are shares of 1 only where
-- weights_are_shares says so. The change is what the event makes of the answer: the answer less
-- what it is when the event is left out, above 0 where the event speaks for the candidate.
-- Grain: one row per explained test sample and event of its history.
-- `event_explanations` are the rows as the model gives them: (user_idx, position, k,
-- history_position) beside answers and weights.
{% from "macros/in_ids.jinja" import timestamp_of, vocabulary_of with context %}
with

{% for attribute in item_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
described_items as (
    select
        items.item_idx,
        {% for attribute in item_attributes %}
        {{ attribute.vocabulary }}.value as {{ attribute.column }},
        {% endfor %}
        items.item_id
    from items
    {% for attribute in item_attributes %}
    left join {{ attribute.vocabulary }}
        on items.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
),

final as (
    select
        users.user_id,
        sample_bounds.position,
        sample_bounds.k,
        event_explanations.history_position,
        sample_bounds.label,
        targets.item_id as target_item_id,
        {% for attribute in item_attributes %}
        targets.{{ attribute.column }} as {{ attribute.target }},
        {% endfor %}
        event_explanations.score,
        seen_items.item_id as hist_item_id,
        {% for attribute in item_attributes %}
        seen_items.{{ attribute.column }} as {{ attribute.history }},
        {% endfor %}
        {{ timestamp_of("events." ~ quote("time")) }} as hist_time,
        event_explanations.attention_weight_item,
        {% for attribute in item_attributes %}
        event_explanations.{{ quote("attention_weight_" ~ attribute.stem) }},
        {% endfor %}
        event_explanations.weights_are_shares,
        event_explanations.score_without,
        event_explanations.score - event_explanations.score_without as score_change,
        event_explanations.log_odds - event_explanations.log_odds_without as log_odds_change,
        sample_bounds.user_idx
    from event_explanations
    inner join sample_bounds
        on
            event_explanations.user_idx = sample_bounds.user_idx
            and event_explanations.position = sample_bounds.position
            and event_explanations.k = sample_bounds.k
            and sample_bounds.split = 'test'
    inner join events
        on
            event_explanations.user_idx = events.user_idx
            and event_explanations.history_position = events.position
    inner join users on event_explanations.user_idx = users.user_idx
    inner join described_items as targets on sample_bounds.item_idx = targets.item_idx
    inner join described_items as seen_items on events.item_idx = seen_items.item_idx
)

select
    user_id,
    position,
    k,
    history_position,
    label,
    target_item_id,
    {% for attribute in item_attributes %}
    {{ attribute.target }},
    {% endfor %}
    score,
    hist_item_id,
    {% for attribute in item_attributes %}
    {{ attribute.history }},
    {% endfor %}
    hist_time,
    attention_weight_item,
    {% for attribute in item_attributes %}
    {{ quote("attention_weight_" ~ attribute.stem) }},
    {% endfor %}
    weights_are_shares,
    score_without,
    score_change,
    log_odds_change
from final
order by user_idx, position, k, history_position
