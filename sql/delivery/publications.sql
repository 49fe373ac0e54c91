-- asset: model_versions
-- given: kept_publications, new_publications
-- Grain: one decision about a bundle: published, refused, rolled back (to it), pinned, unpinned.
-- Rows are only added, and no two have the same time: the last one that is published or rolled back
-- names the bundle that is served.
with

final as (
    select
        decided_at,
        model_version,
        bundle_version,
        action,
        reason
    from kept_publications
    union all
    select
        decided_at,
        model_version,
        bundle_version,
        action,
        reason
    from new_publications
)

select
    decided_at,
    model_version,
    bundle_version,
    action,
    reason
from final
order by decided_at
