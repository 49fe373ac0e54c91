-- asset: events
-- severity: warn
-- Times after the year 2100: the column is in another unit than it was read in (name it with
-- time_unit), or it counts no time, as 20171125103000 does (write it as 2017-11-25 10:30:00). Order
-- and splits are right all the same, dates are not.
-- what_to_do: Compare first_time and last_time with the log. Name the unit (ops: interactions:
-- config: {time_unit: ms}), write a number such as 20171125103000 as 2017-11-25 10:30:00, or remove
-- the rows from the log.
select
    min(time) as first_time,
    max(time) as last_time,
    count(*) as events
from events
where time >= 4102444800
having count(*) > 0
