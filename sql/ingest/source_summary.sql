-- asset: interactions, rejected_rows
-- kind: query
-- given: source_rows
-- What the usable rows of the source amount to, and how their columns are written.
-- Grain: one row in all. Read before `interactions` is made, because it decides the types there.
-- n_labels_1 and n_labels_0 count the labels; time_digits says how many digits of a fraction the
-- times need (0, 6 or 18), last_second how large they are, and n_cut_times how many of them have an
-- exponent for digits that are not there. Then for each id and attribute column the kinds of its
-- values as bits (see the macro kind_of), for each attribute and dense column how often it is
-- missing, and for each dense column how often it holds something that is no number.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
{% from "macros/source_values.jinja" import
    dense_value, is_cut_time, is_empty, kind_of
    with context %}
{% set ids = [quote("user_id"), quote("item_id")] %}
{% set typed_columns = ids + attributes | map(attribute="column") | list %}
{% set only_whole_seconds = quote("time") in staged_integers and coding.unit == "s" %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
final as (
    select
        count(*) as n_rows,
        count(reason) as n_rejected,
{% if labelled %}
        count(case when reason is null and label_value = 1 then 1 end) as n_labels_1,
        count(case when reason is null and label_value = 0 then 1 end) as n_labels_0,
{% else %}
        0 as n_labels_1,
        0 as n_labels_0,
{% endif %}
{% if only_whole_seconds %}
        0 as time_digits,
        0 as last_second
{%- else %}
        max(
            case
                when reason is not null or fraction is null or fraction = 0 then 0
                when fraction = cast(fraction as decimal(18, 6)) then 6
                else 18
            end
        ) as time_digits,
        max(case when reason is null then seconds end) as last_second
{%- endif %},
{% if quote("time") in staged_integers %}
        0 as n_cut_times
{%- else %}
        count(
            case
                when
                    reason is null
                    and decimal_time is not null
                    and {{ is_cut_time(quote("time"), coding) }}
                    then 1
            end
        ) as n_cut_times
{%- endif %}
{%- for column in typed_columns %},
{% if column in staged_integers %}
        1
{%- else %}
        bit_or(case when reason is null then {{ kind_of(column) }} end)
{%- endif %} as kinds_{{ loop.index }}
{%- endfor %}
{%- for column in attributes + dense %},
{% if column.column in staged_integers %}
        0
{%- else %}
        count(
            case
                when reason is null and {{ is_empty(column.column, staged_integers) }} then 1
            end
        )
{%- endif %} as missing_{{ loop.index }}
{%- endfor %}
{%- for number in dense %},
{% if number.column in staged_integers %}
        0
{%- else %}
        count(
            case
                when
                    reason is null
                    and not {{ is_empty(number.column, staged_integers) }}
                    and {{ dense_value(number.column, staged_integers) }} is null
                    then 1
            end
        )
{%- endif %} as unreadable_{{ loop.index }}
{%- endfor %}

    from judged_rows
)

select *
from final
