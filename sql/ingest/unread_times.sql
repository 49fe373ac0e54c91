-- asset: interactions, rejected_rows
-- kind: query
-- given: source_rows
-- Ways of writing times that are not read, where times of rows are neither numbers nor ISO 8601.
-- Grain: one row per way: how many times are written so, and the first of them with its place.
-- What follows none of these ways, as a word, is in no row.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
unread_times as (
    select
        file,
        line,
        time,
        case
            when regexp_matches(time, '^[0-9]{4}-(1[3-9]|2[0-9]|3[01])-(0?[1-9]|1[0-2])([T ].*)?$')
                then 'year_day_month'
            when regexp_matches(time, '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[T ].*[0-9] ?[AaPp][Mm]$')
                then 'twelve_hours'
            when regexp_matches(time, '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[T ].*[0-9].*[A-Za-z]{2}.?$')
                then 'zone_names'
            when regexp_matches(time, '^[0-9]{1,4}[/.][0-9]{1,2}[/.][0-9]{1,4}([T ,].*)?$')
                then 'slashes'
            when regexp_matches(time, '^[0-9]{1,2}-[0-9]{1,2}-[0-9]{2,4}([T ,].*)?$')
                then 'day_first'
            when
                regexp_matches(time, '[0-9]')
                and regexp_matches(
                    lower(time),
                    '(^|[^a-z])(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|'
                    || 'sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?)([^a-z]|$)'
                )
                then 'month_names'
            when regexp_matches(time, '^[0-9]+,[0-9]+$')
                then 'decimal_comma'
        end as way
    from judged_rows
    where
        reason is not null
        and problem is null
        and time <> ''
        and seconds is null
),

counted as (
    select
        way,
        time,
        file,
        line,
        count(*) over (partition by way) as n_rows
    from unread_times
    where way is not null
)

select
    way,
    time,
    file,
    line,
    n_rows
from counted
qualify row_number() over (partition by way order by file, line) = 1
