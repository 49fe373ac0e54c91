-- asset: events
-- severity: warn
-- Times after the year 2100: the source holds milliseconds or microseconds where seconds are asked
-- for. Order and splits are right all the same, dates are not: divide the column in the source.
select
    min(time) as first_time,
    max(time) as last_time,
    count(*) as events
from events
where time >= 4102444800
having count(*) > 0
