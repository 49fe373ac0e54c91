-- asset: test_auc
-- kind: query
-- The rival "item co-occurrence": how strongly a candidate goes with the items of the history.
-- Grain: one test sample of one user in `one_user_in`, ordered as the test samples are.
-- strength is a sum over the history: users who had both items, over the square root of the
-- product of the users of each (cosine), in billionths and as whole numbers, so that the order of
-- adding does not matter. Counted are training interactions alone, of a user the 50 latest: what is
-- held out for validation or test is in no count.
with

held_out as (
    select
        user_idx,
        position
    from sample_bounds
    where split in ('val', 'test') and label = 1
),

test_samples as (
    select
        user_idx,
        position,
        k,
        item_idx,
        history_start,
        history_end
    from sample_bounds
    where split = 'test' and user_idx % {{ one_user_in }} = 0
),

training_events as (
    select
        events.user_idx,
        events.item_idx,
        row_number() over (
            partition by events.user_idx order by events.position desc
        ) as age
    from events
    left join held_out
        on
            events.user_idx = held_out.user_idx
            and events.position = held_out.position
    where held_out.position is null
),

had as (
    select distinct
        user_idx,
        item_idx
    from training_events
    where age <= 50
),

counted as (
    select
        item_idx,
        count(*) as n_users
    from had
    group by item_idx
),

wanted as (
    select distinct item_idx
    from test_samples
),

seen as (
    select
        test_samples.user_idx,
        test_samples.position,
        test_samples.k,
        test_samples.item_idx,
        events.item_idx as seen_item_idx
    from test_samples
    inner join events
        on
            test_samples.user_idx = events.user_idx
            and events.position between test_samples.history_start and test_samples.history_end
),

asked_for as (
    select distinct seen_item_idx
    from seen
),

common as (
    select
        one.item_idx as seen_item_idx,
        other.item_idx,
        count(*) as n_common
    from had as one
    inner join asked_for on one.item_idx = asked_for.seen_item_idx
    inner join had as other on one.user_idx = other.user_idx
    inner join wanted on other.item_idx = wanted.item_idx
    where one.item_idx <> other.item_idx
    group by one.item_idx, other.item_idx
),

similarities as (
    select
        common.seen_item_idx,
        common.item_idx,
        cast(
            1000000000
            * (common.n_common / sqrt(cast(of_seen.n_users as double) * of_candidate.n_users))
            as bigint
        ) as similarity
    from common
    inner join counted as of_seen on common.seen_item_idx = of_seen.item_idx
    inner join counted as of_candidate on common.item_idx = of_candidate.item_idx
),

strengths as (
    select
        seen.user_idx,
        seen.position,
        seen.k,
        sum(similarities.similarity) as strength
    from seen
    inner join similarities
        on
            seen.seen_item_idx = similarities.seen_item_idx
            and seen.item_idx = similarities.item_idx
    group by seen.user_idx, seen.position, seen.k
),

final as (
    select
        test_samples.user_idx,
        test_samples.position,
        test_samples.k,
        cast(coalesce(strengths.strength, 0) as bigint) as strength
    from test_samples
    left join strengths
        on
            test_samples.user_idx = strengths.user_idx
            and test_samples.position = strengths.position
            and test_samples.k = strengths.k
)

select
    user_idx,
    position,
    k,
    strength
from final
order by user_idx, position, k
