-- asset: interactions, rejected_rows
-- kind: query
-- given: source_rows
-- How the columns `time` and `label` of the source are written, as counts of what is in them.
-- Grain: one row in all. Read before any row is judged, because it decides how they are read.
-- Numbers as times fall into bands by their size: what is seconds, milliseconds, microseconds or
-- nanoseconds from 1973 to 5138; zero is zero in all of them. Labels are taken for numbers where
-- they are any, true and false for 1 and 0.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import numbered_rows with context %}
{% from "macros/source_values.jinja" import is_empty, plain_label with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ numbered_rows(attributes + dense, labelled, staged_integers) }}
final as (
    select
        count(whole_time) as n_numbers,
        count(case when whole_time > 0 and whole_time < 100000000000 then 1 end) as n_s,
        count(
            case when whole_time >= 100000000000 and whole_time < 100000000000000 then 1 end
        ) as n_ms,
        count(
            case when whole_time >= 100000000000000 and whole_time < 100000000000000000 then 1 end
        ) as n_us,
        count(case when whole_time >= 100000000000000000 then 1 end) as n_ns,
        min(whole_time) as least_number,
        max(whole_time) as greatest_number,
{% if labelled %}
        count(case when {{ plain_label(staged_integers) }} = 1 then 1 end) as n_ones,
        count(case when {{ plain_label(staged_integers) }} = 0 then 1 end) as n_zeros,
        count(case when {{ plain_label(staged_integers) }} = -1 then 1 end) as n_minus_ones,
        count(case when not {{ is_empty(quote("label"), staged_integers) }} then 1 end) as n_labels
{% else %}
        0 as n_ones,
        0 as n_zeros,
        0 as n_minus_ones,
        0 as n_labels
{% endif %}
    from numbered_rows
)

select *
from final
