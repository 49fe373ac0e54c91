-- asset: warehouse
-- kind: view
-- What each user did, in one line.
-- Grain: one row per user with events. Interactions are those the histories are made of: of a
-- labelled log, the positive ones.
{% from "macros/in_ids.jinja" import shown, timestamp_of, vocabulary_of with context %}
with

{% for attribute in user_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
sequences as (
    select
        user_idx,
        array_length(items) as interactions,
        {% for attribute in item_attributes %}
        -- Unknown values, index 0, do not count.
        list_unique(list_filter({{ attribute.sequence }}, lambda idx: idx > 0))
            as {{ quote("distinct_" ~ attribute.stem ~ "s") }},
        {% endfor %}
        list_unique(items) as distinct_items
    from user_sequences
),

first_events as (
    select
        user_idx,
        time
    from events
    where position = 1
),

final as (
    select
        users.user_id,
        {% for attribute in user_attributes %}
        {{ attribute.vocabulary }}.value as {{ shown(attribute) }},
        {% endfor %}
        sequences.interactions,
        sequences.distinct_items,
        {% for attribute in item_attributes %}
        sequences.{{ quote("distinct_" ~ attribute.stem ~ "s") }},
        {% endfor %}
        sequences.interactions - sequences.distinct_items as repeat_interactions,
        {% if labelled %}
        least(last_events.history_end, {{ max_history }}) as last_history_length,
        {% else %}
        least(last_events.position - 1, {{ max_history }}) as last_history_length,
        {% endif %}
        {{ timestamp_of("first_events." ~ quote("time")) }} as first_time,
        {{ timestamp_of("last_events." ~ quote("time")) }} as last_time
    from users
    inner join sequences on users.user_idx = sequences.user_idx
    inner join first_events on users.user_idx = first_events.user_idx
    inner join events as last_events
        on
            sequences.user_idx = last_events.user_idx
            and sequences.interactions = last_events.position
    {% for attribute in user_attributes %}
    left join {{ attribute.vocabulary }}
        on users.{{ attribute.index }} = {{ attribute.vocabulary }}.value_idx
    {% endfor %}
)

select
    user_id,
    {% for attribute in user_attributes %}
    {{ shown(attribute) }},
    {% endfor %}
    interactions,
    distinct_items,
    {% for attribute in item_attributes %}
    {{ quote("distinct_" ~ attribute.stem ~ "s") }},
    {% endfor %}
    repeat_interactions,
    last_history_length,
    first_time,
    last_time
from final
