-- Each user's whole behaviour sequence as lists, oldest first.
-- Grain: one row per user with events. Element p of a list belongs to the event at position p, so a
-- history is a slice of it.
-- In a labelled log last_moment and moment_before_last are the latest two times at which the user
-- was shown anything, taken or not: test and val begin there (leave-one-out). The second is NULL
-- where all rows share one time.
-- A user's events are gathered as they come and sorted once, by position, which is the first field;
-- a list with an order of its own would sort for each column.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/gathered.jinja" import one_row_per_user, over_user with context %}
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
            ){{ over_user() }}
        ) as sequence
    from events
    {{ one_row_per_user() }}
),

{% if labelled %}
moments as (
    select distinct
        users.user_idx,
        interactions.time
    from interactions
    inner join users on interactions.user_id = users.user_id
),

numbered_moments as (
    select
        user_idx,
        time,
        row_number() over (partition by user_idx order by time desc) as from_the_end
    from moments
),

last_moments as (
    select
        user_idx,
        max(case when from_the_end = 1 then time end) as last_moment,
        max(case when from_the_end = 2 then time end) as moment_before_last
    from numbered_moments
    where from_the_end <= 2
    group by user_idx
),

{% endif %}
sequences as (
    select
        gathered_events.user_idx,
        list_transform(gathered_events.sequence, lambda event: event.item_idx) as items
        {%- for attribute in item_attributes %},
        list_transform(
            gathered_events.sequence, lambda event: event.{{ attribute.index }}
        ) as {{ attribute.sequence }}
{%- endfor %}

    from gathered_events
)

select
    sequences.user_idx,
    sequences.items
    {%- for attribute in item_attributes %},
    sequences.{{ attribute.sequence }}
{%- endfor %}
{%- if labelled %},
    last_moments.last_moment,
    last_moments.moment_before_last
{%- endif %}

from sequences
{% if labelled %}
inner join last_moments on sequences.user_idx = last_moments.user_idx
{% endif %}
order by sequences.user_idx
