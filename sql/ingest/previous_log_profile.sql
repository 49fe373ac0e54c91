-- asset: drift
-- given: kept_profile
-- Grain: as log_profile, of the log that was read before: the last one with other rows. Empty where
-- there was none.
select
    measure,
    about,
    bucket,
    n
from kept_profile
order by measure, about, bucket
