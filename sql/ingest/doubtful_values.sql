-- asset: interactions
-- kind: query
-- given: source_rows
-- Where an id or attribute is a word that often stands for nothing, such as NULL or nan, or a
-- number with an exponent, as spreadsheets write long ids when they cut their digits off; so may be
-- times.
-- Grain: one row per column and word of usable rows, and one for its exponents (what is ''): the
-- first value and its place; n_rows is how many rows have such a value.
-- Asked where a column holds one, which source_summary says.
-- The linter loses the indentation behind the macro:
-- noqa: disable=LT02
{% from "macros/source_rows.jinja" import judged_rows with context %}
{% from "macros/source_values.jinja" import
    exponent_pattern, is_cut_time, is_word_for_nothing
    with context %}
with

staged_rows as (
    select *
    from source_rows
),

{{ judged_rows(attributes + dense, labelled, staged_integers, coding) }}
texts as (
    select
        'user_id' as name,
        file,
        line,
        cast(user_id as varchar) as value
    from judged_rows
    where reason is null
    union all
    select
        'item_id' as name,
        file,
        line,
        cast(item_id as varchar) as value
    from judged_rows
    where reason is null
{% for attribute in attributes %}
    union all
    select
        {{ literal(attribute.name) }} as name,
        file,
        line,
        cast({{ attribute.column }} as varchar) as value
    from judged_rows
    where reason is null
{% endfor %}
{% if quote("time") not in staged_integers %}
    union all
    select
        'time' as name,
        file,
        line,
        time as value
    from judged_rows
    where
        reason is null
        and decimal_time is not null
        and {{ is_cut_time(quote("time"), coding) }}
{% endif %}
),

doubtful as (
    select
        *,
        case when {{ is_word_for_nothing(quote("value")) }} then value else '' end as what
    from texts
    where
        name = 'time'
        or {{ is_word_for_nothing(quote("value")) }}
        or regexp_matches(value, {{ exponent_pattern }})
),

counted as (
    select
        name,
        what,
        value,
        file,
        line,
        count(*) over (partition by name, what) as n_rows
    from doubtful
)

select
    name,
    what,
    value,
    file,
    line,
    n_rows
from counted
qualify row_number() over (partition by name, what order by file, line) = 1
order by name, what
