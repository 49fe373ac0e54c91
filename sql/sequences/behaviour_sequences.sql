-- asset: samples
-- Each user's whole behaviour sequence in ids, oldest first: what the histories of `samples` are
-- slices of.
-- Grain: one row per user with events. Element p of a list belongs to the event at position p, as
-- in user_sequences, which is the same in indices.
-- This one is a table: looking the ids up for every history anew would take minutes.
-- Events are gathered as structs, which keeps the place of an unknown value (a list of the values
-- alone would lose it on Spark), and sorted once, by position, which is the first field.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/in_ids.jinja" import vocabulary_of with context %}
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

gathered_events as (
    select
        events.user_idx,
        list_sort(
            list(
                struct_pack(
                    position := events.position,
                    item_id := described_items.item_id{% for attribute in item_attributes %},
                    {{ attribute.column }} := described_items.{{ attribute.column }}
{%- endfor %}

                )
            )
        ) as sequence
    from events
    inner join described_items on events.item_idx = described_items.item_idx
    group by events.user_idx
),

sequences as (
    select
        gathered_events.user_idx,
        {% for attribute in item_attributes %}
        list_transform(gathered_events.sequence, lambda event: event.{{ attribute.column }})
            as {{ attribute.sequence }},
        {% endfor %}
        list_transform(gathered_events.sequence, lambda event: event.item_id) as items
    from gathered_events
)

select
    sequences.user_idx,
    users.user_id,
    sequences.items
    {%- for attribute in item_attributes %},
    sequences.{{ attribute.sequence }}
{%- endfor %}

from sequences
inner join users on sequences.user_idx = users.user_idx
order by sequences.user_idx
