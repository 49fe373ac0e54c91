-- How far the log has moved from the one that was read before it, the last one with other rows.
-- Grain: one figure; before and now are what it compares. It has drifted where it is beyond its
-- threshold: below it for rows and last_day_rows, above it for all others. outcome is 'no log
-- before' on the first log, and 'not compared' where one of the two has nothing to compare.
-- rows: their change as a share. rows_per_day: the size of that change, of rows by days.
-- new_users, new_items: the share of ids that the log before did not have, of 10,000 at most.
-- stability_of_attribute, stability_of_popularity: population stability index, the sum of (q - p) *
-- ln(q / p) over the shares p before and q now; of an attribute over its 20 most frequent values of
-- before and all others, of the popularity over parts of the items. No share counts below 0.0001.
-- Chance alone makes it chi-squared, (buckets - 1) * (1 / rows before + 1 / rows now) on average:
-- the threshold is 0.2, or that average and three deviations where they are more.
-- days_without_events: the threshold is what the share of before makes of the days now, and three
-- deviations. last_day_rows: rows of the last day over the mean of the seven before it; the
-- threshold is 0.5, or what chance explains where that is less.
with

now_numbers as (
    select
        measure,
        cast(n as double) as n
    from log_profile
    where about = '' and bucket = ''
),

before_numbers as (
    select
        measure,
        cast(n as double) as n
    from previous_log_profile
    where about = '' and bucket = ''
),

-- One row: what both logs are as a whole. NULL for a log that was not there.
logs as (
    select
        max(case when now_numbers.measure = 'rows' then now_numbers.n end) as rows_now,
        max(case when now_numbers.measure = 'rows' then before_numbers.n end) as rows_before,
        max(case when now_numbers.measure = 'users' then now_numbers.n end) as users_now,
        max(case when now_numbers.measure = 'users' then before_numbers.n end) as users_before,
        max(case when now_numbers.measure = 'items' then now_numbers.n end) as items_now,
        max(case when now_numbers.measure = 'items' then before_numbers.n end) as items_before,
        max(case when now_numbers.measure = 'days' then now_numbers.n end) as days_now,
        max(case when now_numbers.measure = 'days' then before_numbers.n end) as days_before,
        max(case when now_numbers.measure = 'days_without_events' then now_numbers.n end)
            as empty_now,
        max(case when now_numbers.measure = 'days_without_events' then before_numbers.n end)
            as empty_before,
        max(case when now_numbers.measure = 'last_day_rows' then now_numbers.n end) as last_day,
        max(case when now_numbers.measure = 'week_before_rows' then now_numbers.n end) as week_rows,
        max(case when now_numbers.measure = 'week_before_days' then now_numbers.n end) as week_days
    from now_numbers
    left join before_numbers on now_numbers.measure = before_numbers.measure
),

-- Digests up to the greatest that both samples of ids reach: below it, what is not there is new.
kept_digests as (
    select
        previous_log_profile.measure,
        count(*) as n_kept,
        max(previous_log_profile.bucket) as last_digest
    from previous_log_profile
    where previous_log_profile.measure in ('user', 'item')
    group by previous_log_profile.measure
),

judged_ids as (
    select
        log_profile.measure,
        count(*) as n_judged,
        count(previous_log_profile.bucket) as n_known
    from log_profile
    inner join kept_digests on log_profile.measure = kept_digests.measure
    cross join logs
    left join previous_log_profile
        on
            log_profile.measure = previous_log_profile.measure
            and log_profile.bucket = previous_log_profile.bucket
    where
        log_profile.bucket <= kept_digests.last_digest
        -- The log before had no more ids than were kept of it.
        or kept_digests.n_kept
        = case when log_profile.measure = 'user' then logs.users_before else logs.items_before end
    group by log_profile.measure
),

new_ids as (
    select
        case when measure = 'user' then 'new_users' else 'new_items' end as measure,
        cast(n_judged - n_known as double) / n_judged as share
    from judged_ids
),

ranked_buckets as (
    select
        measure,
        about,
        bucket,
        n,
        row_number() over (partition by measure, about order by n desc, bucket asc) as place
    from previous_log_profile
    where measure in ('attribute', 'popularity')
),

-- What the log before has less of than a part of it is named: an attribute it did not have.
compared_columns as (
    select distinct
        log_profile.measure,
        log_profile.about
    from log_profile
    inner join ranked_buckets
        on
            log_profile.measure = ranked_buckets.measure
            and log_profile.about = ranked_buckets.about
),

named_buckets as (
    select
        ranked_buckets.measure,
        ranked_buckets.about,
        cast(ranked_buckets.n as double) as n_before,
        cast(coalesce(log_profile.n, 0) as double) as n_now
    from ranked_buckets
    inner join compared_columns
        on
            ranked_buckets.measure = compared_columns.measure
            and ranked_buckets.about = compared_columns.about
    left join log_profile
        on
            ranked_buckets.measure = log_profile.measure
            and ranked_buckets.about = log_profile.about
            and ranked_buckets.bucket = log_profile.bucket
    where ranked_buckets.place <= 20
),

other_buckets as (
    select
        named_buckets.measure,
        named_buckets.about,
        max(logs.rows_before) - sum(named_buckets.n_before) as n_before,
        max(logs.rows_now) - sum(named_buckets.n_now) as n_now
    from named_buckets
    cross join logs
    group by named_buckets.measure, named_buckets.about
),

buckets as (
    select
        measure,
        about,
        n_before,
        n_now
    from named_buckets
    union all
    select
        measure,
        about,
        n_before,
        n_now
    from other_buckets
    where n_before > 0 or n_now > 0
),

shares as (
    select
        buckets.measure,
        buckets.about,
        greatest(buckets.n_before / logs.rows_before, 0.0001) as p,
        greatest(buckets.n_now / logs.rows_now, 0.0001) as q
    from buckets
    cross join logs
),

stability as (
    select
        measure,
        about,
        sum((q - p) * ln(q / p)) as value,
        count(*) - 1 as freedom
    from shares
    group by measure, about
),

figures as (
    select
        'rows' as measure,
        '' as about,
        rows_before as before,
        rows_now as now,
        rows_now / rows_before - 1 as value,
        -0.1 as threshold
    from logs
    union all
    select
        'rows_per_day' as measure,
        '' as about,
        rows_before / days_before as before,
        rows_now / days_now as now,
        abs(rows_now / days_now / (rows_before / days_before) - 1) as value,
        0.5 as threshold
    from logs
    union all
    select
        'new_users' as measure,
        '' as about,
        logs.users_before as before,
        logs.users_now as now,
        new_ids.share as value,
        0.5 as threshold
    from logs
    left join new_ids on new_ids.measure = 'new_users'
    union all
    select
        'new_items' as measure,
        '' as about,
        logs.items_before as before,
        logs.items_now as now,
        new_ids.share as value,
        0.5 as threshold
    from logs
    left join new_ids on new_ids.measure = 'new_items'
    union all
    select
        'days_without_events' as measure,
        '' as about,
        empty_before as before,
        empty_now as now,
        empty_now as value,
        empty_before / days_before * days_now + 3 * sqrt(empty_before / days_before * days_now)
            as threshold
    from logs
    union all
    select
        'last_day_rows' as measure,
        '' as about,
        case when week_days > 0 then week_rows / week_days end as before,
        last_day as now,
        case when week_rows > 0 then last_day / (week_rows / week_days) end as value,
        case
            when week_rows > 0 then greatest(0, least(0.5, 1 - 3 / sqrt(week_rows / week_days)))
        end as threshold
    from logs
    union all
    select
        'stability_of_popularity' as measure,
        '' as about,
        logs.items_before as before,
        logs.items_now as now,
        stability.value,
        greatest(
            0.2,
            (stability.freedom + 3 * sqrt(2 * stability.freedom))
            * (1 / logs.rows_before + 1 / logs.rows_now)
        ) as threshold
    from logs
    left join stability on stability.measure = 'popularity'
    {% for attribute in item_attributes %}
    union all
    select
        'stability_of_attribute' as measure,
        {{ attribute.literal }} as about,
        logs.rows_before as before,
        logs.rows_now as now,
        stability.value,
        greatest(
            0.2,
            (stability.freedom + 3 * sqrt(2 * stability.freedom))
            * (1 / logs.rows_before + 1 / logs.rows_now)
        ) as threshold
    from logs
    left join stability
        on stability.measure = 'attribute' and stability.about = {{ attribute.literal }}
    {% endfor %}
),

-- Rounded first, so that the outcome is the one that a reader of the row comes to. Not by round():
-- engines disagree on a half of a digit that no double holds.
rounded as (
    select
        figures.measure,
        figures.about,
        cast(floor(cast(figures.before as double) * 10000 + 0.5) as double) / 10000 as before,
        cast(floor(cast(figures.now as double) * 10000 + 0.5) as double) / 10000 as now,
        cast(floor(cast(figures.value as double) * 10000 + 0.5) as double) / 10000 as value,
        cast(floor(cast(figures.threshold as double) * 10000 + 0.5) as double) / 10000
            as threshold,
        logs.rows_before is null as is_first
    from figures
    cross join logs
),

final as (
    select
        measure,
        about,
        before,
        now,
        value,
        threshold,
        case
            when is_first then 'no log before'
            when value is null or threshold is null then 'not compared'
            when measure in ('rows', 'last_day_rows') and value < threshold then 'drifted'
            when measure not in ('rows', 'last_day_rows') and value > threshold then 'drifted'
            else 'steady'
        end as outcome
    from rounded
)

select
    measure,
    about,
    before,
    now,
    value,
    threshold,
    outcome
from final
order by measure, about
