-- asset: interactions
-- kind: query
-- given: source_rows
-- The numbers that stand in the column `time`, of every so many lines.
-- Grain: one row per number above 0, rounded down; n_rows says how many of those lines have it.
-- Asked where the smallest or the largest time hides what most of them look like.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import numbered_rows with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ numbered_rows(attributes + dense, labelled, staged_integers) }}
final as (
    select
        whole_time,
        count(*) as n_rows
    from numbered_rows
    where
        whole_time > 0
        and line % {{ every }} = 0
    group by whole_time
)

select
    whole_time,
    n_rows
from final
