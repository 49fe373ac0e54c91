-- asset: events
-- severity: warn
-- More than half of the events share their second with the event before them of the same user. Then
-- the "last" event is mostly the last in the file: a leave-one-out test measures the file's order.
-- (In a labelled log whole moments are held out, whatever the order within: not checked.)
-- what_to_do: Give the log exact times (time_col), since a date alone ties all events of a day.
-- Where it has none, sort the file as the events happened, or split by time (ops: samples: config:
-- {split: temporal}).
with

neighbours as (
    select
        time,
        lag(time) over (partition by user_idx order by position) as time_before
    from events
),

counted as (
    select
        count(time_before) as n_events,
        count(case when time = time_before then 1 end) as n_ties
    from neighbours
)

select
    n_ties,
    n_events,
    100 * n_ties // n_events as percent
from counted
where
{% if labelled %}
    false
{% else %}
    n_ties * 2 > n_events
{% endif %}
