-- asset: drift
-- What is kept of a log, so that the next one can be compared with it: some thousand rows at most.
-- Grain: one number of the log (measure), of a part of it where that has parts (about, bucket).
-- rows, users, items: how many there are. days: from the first day (UTC) to the last;
-- days_without_events: how many of them are empty. last_day_rows, week_before_rows: rows of the
-- last day and of the seven days before it; week_before_days: how many of the seven the log has.
-- user, item: an id as MD5 (bucket), of the 10,000 smallest. The smallest of equally spread digests
-- are a sample of the ids that is the same for each log, so shares can be estimated by them.
-- popularity: rows of the items that lead the list (the first hundredth of the items, and so on).
-- attribute: rows by value (bucket, '' where it is missing) of a column (about), of the 1,000 most
-- frequent ones.
with

of_users as (
    select
        user_id,
        count(*) as n_rows
    from interactions
    group by user_id
),

of_items as (
    select
        item_id,
        count(*) as n_rows
    from interactions
    group by item_id
),

of_days as (
    select
        cast(floor(cast(time as double) / 86400) as bigint) as day,
        count(*) as n_rows
    from interactions
    group by cast(floor(cast(time as double) / 86400) as bigint)
),

span as (
    select
        min(day) as first_day,
        max(day) as last_day,
        count(*) as n_days_with_events,
        sum(n_rows) as n_rows
    from of_days
),

last_days as (
    select
        max(span.last_day - span.first_day) as n_days_before_last,
        sum(case when of_days.day = span.last_day then of_days.n_rows else 0 end) as last_day,
        sum(
            case
                when of_days.day >= span.last_day - 7 and of_days.day < span.last_day
                    then of_days.n_rows
                else 0
            end
        ) as week_before
    from of_days
    cross join span
),

user_digests as (
    select md5(cast(user_id as varchar)) as digest
    from of_users
    order by digest
    limit 10000
),

item_digests as (
    select md5(cast(item_id as varchar)) as digest
    from of_items
    order by digest
    limit 10000
),

ranked_items as (
    select
        n_rows,
        row_number() over (order by n_rows desc, item_id asc) as place,
        count(*) over () as n_items
    from of_items
),

popularity as (
    select
        case
            when (place - 1) * 100 < n_items then '1: first 1% of the items'
            when (place - 1) * 10 < n_items then '2: up to 10%'
            when (place - 1) * 2 < n_items then '3: up to 50%'
            else '4: the rest'
        end as bucket,
        n_rows
    from ranked_items
),

{% for attribute in item_attributes %}
{{ attribute.vocabulary }} as (
    select
        {{ attribute.literal }} as about,
        coalesce(cast({{ attribute.column }} as varchar), '') as bucket,
        count(*) as n_rows
    from interactions
    group by coalesce(cast({{ attribute.column }} as varchar), '')
    order by n_rows desc, bucket asc
    limit 1000
),

{% endfor %}
final as (
    select
        'rows' as measure,
        '' as about,
        '' as bucket,
        cast(coalesce(n_rows, 0) as bigint) as n
    from span
    union all
    select
        'users' as measure,
        '' as about,
        '' as bucket,
        count(*) as n
    from of_users
    union all
    select
        'items' as measure,
        '' as about,
        '' as bucket,
        count(*) as n
    from of_items
    union all
    select
        'days' as measure,
        '' as about,
        '' as bucket,
        coalesce(last_day - first_day + 1, 0) as n
    from span
    union all
    select
        'days_without_events' as measure,
        '' as about,
        '' as bucket,
        coalesce(last_day - first_day + 1 - n_days_with_events, 0) as n
    from span
    union all
    select
        'last_day_rows' as measure,
        '' as about,
        '' as bucket,
        cast(coalesce(last_day, 0) as bigint) as n
    from last_days
    union all
    select
        'week_before_rows' as measure,
        '' as about,
        '' as bucket,
        cast(coalesce(week_before, 0) as bigint) as n
    from last_days
    union all
    select
        'week_before_days' as measure,
        '' as about,
        '' as bucket,
        coalesce(least(n_days_before_last, 7), 0) as n
    from last_days
    union all
    select
        'user' as measure,
        '' as about,
        digest as bucket,
        1 as n
    from user_digests
    union all
    select
        'item' as measure,
        '' as about,
        digest as bucket,
        1 as n
    from item_digests
    union all
    select
        'popularity' as measure,
        '' as about,
        bucket,
        cast(sum(n_rows) as bigint) as n
    from popularity
    group by bucket
    {% for attribute in item_attributes %}
    union all
    select
        'attribute' as measure,
        about,
        bucket,
        n_rows as n
    from {{ attribute.vocabulary }}
    {% endfor %}
)

select
    measure,
    about,
    bucket,
    cast(n as bigint) as n
from final
order by measure, about, bucket
