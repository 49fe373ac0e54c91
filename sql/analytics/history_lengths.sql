-- asset: warehouse
-- kind: view
-- How much the model knows of a user when it is asked.
-- Grain: one row per split and history length; share is of the split's samples.
with

lengths as (
    select
        split,
        history_end - history_start + 1 as history_length
    from sample_bounds
),

counted as (
    select
        split,
        history_length,
        count(*) as samples
    from lengths
    group by split, history_length
),

final as (
    select
        split,
        history_length,
        samples,
        samples / sum(samples) over (partition by split) as share
    from counted
)

select
    split,
    history_length,
    samples,
    share
from final
order by split, history_length
