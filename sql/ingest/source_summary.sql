-- What the source amounts to, and which of its columns are integers throughout.
-- Grain: one row in all. Read before `interactions` is made, because it decides the types there:
-- 1 where each valid value of the column is a canonical integer below 2**63, else 0.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows, is_integer %}
{% set ids = [quote("user_id"), quote("item_id")] %}
{% set typed_columns = ids + attributes | map(attribute="column") | list %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes, labelled, staged_integers) }}
final as (
    select
        count(*) as n_rows,
        count(reason) as n_rejected
{%- for column in typed_columns %},
{% if column in staged_integers %}
        1 as {{ column }}
{%- else %}
        min(
            case when reason is null then case when {{ is_integer(column) }} then 1 else 0 end end
        ) as {{ column }}
{%- endif %}
{%- endfor %}

    from judged_rows
)

select *
from final
