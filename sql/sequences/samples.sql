-- kind: view
-- The examples a model is trained, validated and tested on, with the behaviour sequence each sees.
-- Grain: one row per event with an event before it (label 1) and per negative (label 0).
-- All ids are indices. A history holds the max_history most recent events up to history_end: those
-- before the position; in a labelled log, those earlier in time.
-- This is a view: a history is a slice of user_sequences, never a stored copy.
{% from "macros/examples.jinja" import examples with context %}
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/split.jinja" import split_bounds, split_of with context %}
with

{{ examples() }}
sequences as (
    select
        user_idx,
        items,
        {% for attribute in item_attributes %}
        {{ attribute.sequence }},
        {% endfor %}
        {{ split_bounds() }}
    from user_sequences
),

final as (
    select
        {{ split_of() }} as split,
        examples.label,
        examples.user_idx as user_id,
        examples.item_idx as target_item_id,
        {% for attribute in item_attributes %}
        examples.{{ attribute.index }} as {{ attribute.target }},
        {% endfor %}
        {{ history_of(quote("items")) }} as hist_item_id,
        {% for attribute in item_attributes %}
        {{ history_of(attribute.sequence) }} as {{ attribute.history }},
        {% endfor %}
        {% for attribute in user_attributes %}
        users.{{ attribute.index }} as {{ attribute.column }},
        {% endfor %}
        examples.position,
        examples.history_end,
        examples.time
    from examples
    inner join sequences on examples.user_idx = sequences.user_idx
    {% if user_attributes %}
    inner join users on examples.user_idx = users.user_idx
    {% endif %}
)

select
    split,
    label,
    user_id,
    target_item_id,
    {% for attribute in item_attributes %}
    {{ attribute.target }},
    {% endfor %}
    hist_item_id,
    {% for attribute in item_attributes %}
    {{ attribute.history }},
    {% endfor %}
    {% for attribute in user_attributes %}
    {{ attribute.column }},
    {% endfor %}
    position,
    history_end,
    time
from final
