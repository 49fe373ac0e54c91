-- What could not be used, whole, and why: nothing of the source gets lost silently.
-- Grain: one row of the source that is not in interactions; `raw` is the row as it was written.
{% from "macros/source_rows.jinja" import judged_rows %}
with

{{ judged_rows(attributes, labelled) }}
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
