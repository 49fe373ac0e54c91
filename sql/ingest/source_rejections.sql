-- asset: rejected_rows
-- kind: query
-- given: source_rows
-- Why rows of the source are rejected, and the first of them.
-- Grain: one rejected row, of the first few of each reason; n_rows is how many that reason has.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
rejected as (
    select
        reason,
        file,
        line,
        raw,
        count(*) over (partition by reason) as n_rows
    from judged_rows
    where reason is not null
)

select
    reason,
    file,
    line,
    raw,
    n_rows
from rejected
qualify row_number() over (partition by reason order by file, line) <= 3
