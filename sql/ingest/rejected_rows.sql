-- given: source_rows
-- What could not be used, whole, and why: nothing of the source gets lost silently.
-- Grain: one row of the source that is not in interactions; `raw` is the row as it was written.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
final as (
    select
        file,
        line,
        reason,
        raw
    from judged_rows
    where reason is not null
)

select
    file,
    line,
    reason,
    raw
from final
order by file, line
