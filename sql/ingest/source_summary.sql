-- What the source amounts to, and which of its columns are integers throughout.
-- Grain: one row in all. Read before `interactions` is made, because it decides the types there:
-- 1 where each valid value of the column is a canonical integer below 2**63, else 0.
{% from "macros/source_rows.jinja" import judged_rows, is_integer %}
with

{{ judged_rows(attributes, labelled) }}
final as (
    select
        count(*) as n_rows,
        count(reason) as n_rejected
{%- for column in [quote("user_id"), quote("item_id")] + attributes | map(attribute="column") | list %},
        min(
            case when reason is null then case when {{ is_integer(column) }} then 1 else 0 end end
        ) as {{ column }}
{%- endfor %}

    from judged_rows
)

select *
from final
