-- asset: warehouse
-- kind: view
-- The samples in ids of the source: what the model is asked, as a person reads it.
-- Grain: one row per row of samples. Columns are named as there; lists run oldest first.
-- A time beyond the year 9999 shows as its end (see the check events_times_plausible).
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/readable.jinja" import shown, timestamp_of, vocabulary_of with context %}
{% set taken = [
    "split", "label", "user_id", "target_item_id", "hist_item_id", "history_length", "position",
    "time",
] %}
with

{% for attribute in item_attributes + user_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
histories as (
    select
        examples.split,
        examples.label,
        examples.user_id as user_idx,
        examples.target_item_id as item_idx,
        {% for attribute in item_attributes %}
        examples.{{ attribute.target }} as {{ attribute.index }},
        {% endfor %}
        {{ history_of("readable_sequences." ~ quote("items")) }} as hist_item_id,
        {% for attribute in item_attributes %}
        {{ history_of("readable_sequences." ~ attribute.sequence) }} as {{ attribute.history }},
        {% endfor %}
        least(examples.history_end, {{ max_history }}) as history_length,
        examples.position,
        {{ timestamp_of("examples." ~ quote("time")) }} as time
    from samples as examples
    inner join readable_sequences on examples.user_id = readable_sequences.user_idx
),

final as (
    select
        histories.split,
        histories.label,
        users.user_id,
        items.item_id as target_item_id,
        {% for attribute in item_attributes %}
        {{ attribute.vocabulary }}.value as {{ attribute.target }},
        {% endfor %}
        histories.hist_item_id,
        {% for attribute in item_attributes %}
        histories.{{ attribute.history }},
        {% endfor %}
        {% for attribute in user_attributes %}
        {{ attribute.vocabulary }}.value as {{ shown(attribute, taken) }},
        {% endfor %}
        histories.history_length,
        histories.position,
        histories.time
    from histories
    inner join users on histories.user_idx = users.user_idx
    inner join items on histories.item_idx = items.item_idx
    {% for attribute in item_attributes %}
    left join {{ attribute.vocabulary }}
        on histories.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
    {% for attribute in user_attributes %}
    left join {{ attribute.vocabulary }}
        on users.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
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
    {{ shown(attribute, taken) }},
    {% endfor %}
    history_length,
    position,
    time
from final
