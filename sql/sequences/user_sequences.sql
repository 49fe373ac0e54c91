-- Each user's whole behaviour sequence as lists, oldest first.
-- Grain: one row per user with events. Element p of a list belongs to the event at position p, so a
-- history is a slice of it.
-- The window gathers a user's events as they come and sorts them once, by position, which is the
-- first field; a list with an order of its own would sort for each column.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
with

gathered_events as (
    select
        user_idx,
        list_sort(
            list(
                struct_pack(
                    position := position,
                    item_idx := item_idx{% for attribute in item_attributes %},
                    {{ attribute.index }} := {{ attribute.index }}
{%- endfor %}

                )
            ) over whole
        ) as sequence
    from events
    window whole as (partition by user_idx)
    qualify position = 1
)

select
    gathered_events.user_idx,
    list_transform(gathered_events.sequence, lambda event: event.item_idx) as items
    {%- for attribute in item_attributes %},
    list_transform(
        gathered_events.sequence, lambda event: event.{{ attribute.index }}
    ) as {{ attribute.sequence }}
{%- endfor %}

from gathered_events
order by gathered_events.user_idx
