-- asset: interactions
-- kind: query
-- given: source_rows
-- needs: dense
-- Where a dense column first holds something that is no finite number: it counts as missing there.
-- Grain: one row per dense column with such a value in a usable row.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
{% from "macros/source_values.jinja" import dense_value, is_empty with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
unreadable_values as (
{% for number in dense %}
    select
        {{ literal(number.name) }} as name,
        file,
        line,
        cast({{ number.column }} as varchar) as value
    from judged_rows
    where
        reason is null
        and not {{ is_empty(number.column, staged_integers) }}
        and {{ dense_value(number.column, staged_integers) }} is null
{% if not loop.last %}
    union all
{% endif %}
{% endfor %}
)

select
    name,
    file,
    line,
    value
from unreadable_values
qualify row_number() over (partition by name order by file, line) = 1
order by name
