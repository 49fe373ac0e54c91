-- asset: drift
-- severity: warn
-- The shares of an attribute's values, or of popular items among the rows, are others than in the
-- log before (population stability index): a model that was trained on that one is judged on a
-- population that it does not know.
-- what_to_do: See which values changed (`select cate_id, count(*) from interactions group by all
-- order by 2 desc`). Renamed values belong corrected in the source. If users want other things
-- indeed, train on the new log before its model serves, and compare the figures by slice.
select
    measure,
    about,
    before,
    now,
    value,
    threshold
from drift
where
    outcome = 'drifted' and measure in ('stability_of_attribute', 'stability_of_popularity')
order by measure, about
