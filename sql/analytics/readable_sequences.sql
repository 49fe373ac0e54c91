-- asset: warehouse
-- Each user's whole behaviour sequence in ids of the source, oldest first.
-- Grain: one row per user with events. Element p of a list belongs to the event at position p, so a
-- history in ids of the source is a slice of it, as in user_sequences.
-- This one is a table: looking the ids up for every history anew would take minutes.
{% from "macros/readable.jinja" import vocabulary_of with context %}
with

{% for attribute in item_attributes %}
{{ vocabulary_of(attribute) }}
{% endfor %}
readable_items as (
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

readable_events as (
    select
        events.user_idx,
        events.position,
        {% for attribute in item_attributes %}
        readable_items.{{ attribute.column }},
        {% endfor %}
        readable_items.item_id
    from events
    inner join readable_items on events.item_idx = readable_items.item_idx
)

select
    user_idx,
    {% for attribute in item_attributes %}
    list({{ attribute.column }}) over whole as {{ attribute.sequence }},
    {% endfor %}
    list(item_id) over whole as items
from readable_events
window
    whole as (
        partition by user_idx
        order by position
        rows between unbounded preceding and unbounded following
    )
qualify position = 1
order by user_idx
