-- asset: warehouse
-- kind: view
-- What the model answered on the test samples, in ids; test_predictions is the same in indices.
-- Grain: one row per row of test_predictions. item_in_history and <attribute>_in_history say how
-- often the history the model saw holds the target's item or attribute value already.
-- click_probability is NULL where a score says only which candidate is likelier: evaluated_model.
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/in_ids.jinja" import vocabulary_of with context %}
with

{% for attribute in item_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
histories as (
    select
        examples.user_idx,
        examples.target_item_idx as item_idx,
        examples.label,
        examples.score,
        examples.position,
        examples.k,
        examples.history_length,
        examples.item_popularity,
        {% for attribute in item_attributes %}
        {{ history_of(attribute.sequence) }} as {{ attribute.history_index }},
        {% endfor %}
        {{ history_of(quote("items")) }} as hist_item_idx
    from test_predictions as examples
    inner join user_sequences on examples.user_idx = user_sequences.user_idx
),

described as (
    select
        users.user_id,
        items.item_id,
        {% for attribute in item_attributes %}
        items.{{ attribute.index }},
        {{ attribute.vocabulary }}.value as {{ attribute.target }},
        histories.{{ attribute.history_index }},
        {% endfor %}
        histories.item_idx,
        histories.label,
        histories.score,
        evaluated_model.odds_factor * histories.score
        / (evaluated_model.odds_factor * histories.score + 1 - histories.score)
            as click_probability,
        histories.position,
        histories.k,
        histories.history_length,
        histories.item_popularity,
        histories.hist_item_idx
    from histories
    inner join users on histories.user_idx = users.user_idx
    inner join items on histories.item_idx = items.item_idx
    cross join evaluated_model
    {% for attribute in item_attributes %}
    left join {{ attribute.vocabulary }}
        on items.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
),

final as (
    select
        user_id,
        item_id as target_item_id,
        {% for attribute in item_attributes %}
        {{ attribute.target }},
        {% endfor %}
        label,
        score,
        click_probability,
        position,
        k,
        history_length,
        item_popularity,
        {% for attribute in item_attributes %}
        -- An unknown value, index 0, is not the same as another unknown one.
        array_length(
            list_filter(
                {{ attribute.history_index }}, lambda idx: idx = nullif({{ attribute.index }}, 0)
            )
        ) as {{ quote(attribute.stem ~ "_in_history") }},
        {% endfor %}
        array_length(list_filter(hist_item_idx, lambda idx: idx = item_idx)) as item_in_history
    from described
)

select
    user_id,
    target_item_id,
    {% for attribute in item_attributes %}
    {{ attribute.target }},
    {% endfor %}
    label,
    score,
    click_probability,
    position,
    k,
    history_length,
    item_popularity,
    {% for attribute in item_attributes %}
    {{ quote(attribute.stem ~ "_in_history") }},
    {% endfor %}
    item_in_history
from final
