-- kind: view
-- The examples a model is trained, validated and tested on, in ids: what the model is asked, as a
-- person reads it. `encoded_samples` is the same in indices, as the model takes it.
-- Grain: one row per row of encoded_samples. Lists run oldest first.
-- A time beyond the year 9999 shows as its end (see the check events_times_plausible).
-- This is a view: a history is a slice of behaviour_sequences, never a stored copy.
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/in_ids.jinja" import shown, timestamp_of, vocabulary_of with context %}
with

{% for attribute in item_attributes + user_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
final as (
    select
        examples.split,
        examples.label,
        behaviour_sequences.user_id,
        items.item_id as target_item_id,
        {% for attribute in item_attributes %}
        {{ attribute.vocabulary }}.value as {{ attribute.target }},
        {% endfor %}
        {{ history_of("behaviour_sequences." ~ quote("items")) }} as hist_item_id,
        {% for attribute in item_attributes %}
        {{ history_of("behaviour_sequences." ~ attribute.sequence) }} as {{ attribute.history }},
        {% endfor %}
        {% for attribute in user_attributes %}
        {{ attribute.vocabulary }}.value as {{ shown(attribute) }},
        {% endfor %}
        {% for number in item_dense %}
        examples.{{ number.target }},
        {% endfor %}
        {% for number in user_dense + context_dense %}
        examples.{{ number.column }},
        {% endfor %}
        least(examples.history_end, {{ max_history }}) as history_length,
        examples.position,
        {{ timestamp_of("examples." ~ quote("time")) }} as time
    from encoded_samples as examples
    inner join behaviour_sequences on examples.user_idx = behaviour_sequences.user_idx
    inner join items on examples.target_item_idx = items.item_idx
    {% for attribute in item_attributes %}
    left join {{ attribute.vocabulary }}
        on examples.{{ attribute.target_index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
    {% for attribute in user_attributes %}
    left join {{ attribute.vocabulary }}
        on examples.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
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
    {{ shown(attribute) }},
    {% endfor %}
    {% for number in item_dense %}
    {{ number.target }},
    {% endfor %}
    {% for number in user_dense + context_dense %}
    {{ number.column }},
    {% endfor %}
    history_length,
    position,
    time
from final
