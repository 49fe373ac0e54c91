-- asset: samples
-- kind: view
-- The examples a model is trained, validated and tested on, as it takes them: in indices, with the
-- behaviour sequence each sees. `samples` is the same in ids.
-- Grain: one row per event with an event before it (label 1) and per negative (label 0).
-- A history holds the max_history most recent events up to history_end: those before the position;
-- in a labelled log, those earlier in time.
-- This is a view: a history is a slice of user_sequences, never a stored copy.
{% from "macros/examples.jinja" import split_examples with context %}
{% from "macros/history.jinja" import history_of with context %}
with

{{ split_examples() }}
final as (
    select
        examples.split,
        examples.label,
        examples.user_idx,
        examples.item_idx as target_item_idx,
        {% for attribute in item_attributes %}
        examples.{{ attribute.index }} as {{ attribute.target_index }},
        {% endfor %}
        {{ history_of("examples." ~ quote("items")) }} as hist_item_idx,
        {% for attribute in item_attributes %}
        {{ history_of("examples." ~ attribute.sequence) }} as {{ attribute.history_index }},
        {% endfor %}
        {% for attribute in user_attributes %}
        users.{{ attribute.index }},
        {% endfor %}
        {% for number in item_dense %}
        items.{{ number.column }} as {{ number.target }},
        {% endfor %}
        {% for number in user_dense %}
        users.{{ number.column }},
        {% endfor %}
        {% for number in context_dense %}
        examples.{{ number.column }},
        {% endfor %}
        examples.position,
        examples.history_end,
        examples.time
    from split_examples as examples
    {% if user_attributes or user_dense %}
    inner join users on examples.user_idx = users.user_idx
    {% endif %}
    {% if item_dense %}
    inner join items on examples.item_idx = items.item_idx
    {% endif %}
)

select
    split,
    label,
    user_idx,
    target_item_idx,
    {% for attribute in item_attributes %}
    {{ attribute.target_index }},
    {% endfor %}
    hist_item_idx,
    {% for attribute in item_attributes %}
    {{ attribute.history_index }},
    {% endfor %}
    {% for attribute in user_attributes %}
    {{ attribute.index }},
    {% endfor %}
    {% for number in item_dense %}
    {{ number.target }},
    {% endfor %}
    {% for number in user_dense + context_dense %}
    {{ number.column }},
    {% endfor %}
    position,
    history_end,
    time
from final
