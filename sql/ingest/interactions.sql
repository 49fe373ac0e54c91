-- given: source_rows
-- The log: every row of the source that can be used, its values typed.
-- Grain: one valid row of the source, `file` and `line` say which. An id or attribute column is
-- BIGINT where each of its valid values is a whole number, else text (the whole column); an
-- attribute that a row lacks is NULL. A dense column is DOUBLE, NULL where a row has no finite
-- number. `time` is in seconds: BIGINT where each of them is whole, else DECIMAL with as many
-- digits as the source has (docs/adr/0012-time-as-given.md).
-- With drop_duplicates, of rows equal in every column here but file and line, the first stays.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
{% from "macros/source_values.jinja" import dense_value, typed_value with context %}
{% set kind_of_time %}decimal({{ coding.time_width }}, {{ coding.time_scale }}){% endset %}
-- One digit less where the sum of two would have more than there are: Spark cuts the last off.
{% set kind_of_part %}
decimal({% if coding.time_width == 38 %}37{% else %}{{ coding.time_width }}{% endif %}, {{ coding.time_scale }})
{%- endset %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
usable_rows as (
    select
        {{ typed_value(quote("user_id"), coding.kinds.user_id, staged_integers) }} as user_id,
        {{ typed_value(quote("item_id"), coding.kinds.item_id, staged_integers) }} as item_id,
{% if coding.time_scale == 0 %}
        seconds as time,
{% else %}
        cast(
            cast(seconds as {{ kind_of_part }}) + cast(coalesce(fraction, 0) as {{ kind_of_part }})
            as {{ kind_of_time }}
        ) as time,
{% endif %}
{% for attribute in attributes %}
        {{ typed_value(attribute.column, coding.kinds[attribute.name], staged_integers) }}
            as {{ attribute.column }},
{% endfor %}
{% for number in dense %}
        {{ dense_value(number.column, staged_integers) }} as {{ number.column }},
{% endfor %}
{% if labelled %}
        cast(label_value as integer) as label,
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
{%- for column in attributes + dense %},
            {{ column.column }}
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
{% for column in attributes + dense %}
    {{ column.column }},
{% endfor %}
{% if labelled %}
    label,
{% endif %}
    file,
    line
from final
