-- The log: every row of the source that can be used, its values typed.
-- Grain: one valid row of the source, `file` and `line` say which. An id or attribute column is
-- BIGINT where each of its valid values is a canonical integer, else text (the whole column).
-- With drop_duplicates, of rows equal in every column here but those two, the first stays.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes, labelled, staged_integers) }}
usable_rows as (
    select
{% if user_id_is_integer %}
        cast(user_id as bigint) as user_id,
{% else %}
        user_id,
{% endif %}
{% if item_id_is_integer %}
        cast(item_id as bigint) as item_id,
{% else %}
        item_id,
{% endif %}
        time,
{% for attribute in attributes %}
{% if attribute.is_integer %}
        cast({{ attribute.column }} as bigint) as {{ attribute.column }},
{% else %}
        {{ attribute.column }},
{% endif %}
{% endfor %}
{% if labelled %}
        cast(label as integer) as label,
{% endif %}
        file,
        line
    from judged_rows
    where reason is null
),

final as (
    select *
    from usable_rows
{% if drop_duplicates %}
    qualify row_number() over (
        partition by
            user_id,
            item_id,
            time
{%- for attribute in attributes %},
            {{ attribute.column }}
{%- endfor %}
{%- if labelled %},
            label
{%- endif %}

        order by file, line
    ) = 1
{% endif %}
)

select
    user_id,
    item_id,
    time,
{% for attribute in attributes %}
    {{ attribute.column }},
{% endfor %}
{% if labelled %}
    label,
{% endif %}
    file,
    line
from final
