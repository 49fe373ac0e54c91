-- asset: drift
-- severity: warn
-- More than half of the users or of the items were not in the log before: what a model learnt of
-- single ids does not carry over, and ids may be written in another way (as text, with a prefix).
-- what_to_do: Look at some ids (`from interactions limit 20`) and compare how they are written in
-- the log before. If it is another log, give it a home of its own (DIN_HOME). If so many are new
-- indeed, do nothing.
select
    measure,
    before,
    now,
    value,
    threshold
from drift
where outcome = 'drifted' and measure in ('new_users', 'new_items')
order by measure
