-- asset: known_ids
-- severity: error
-- Within each vocabulary the indices run 1 ... n and no id has two: they are rows of an embedding
-- table, and an id with another one's index would be trained as that one.
-- what_to_do: Nothing is wrong with the log: the indices were kept wrongly. Run `din vocabulary
-- compact` and then `din run`, which number all ids anew; report it with the examples.
with

counted as (
    select
        vocabulary,
        count(*) as n_rows,
        count(distinct idx) as n_indices,
        count(distinct value) as n_values,
        min(idx) as first_index,
        max(idx) as last_index
    from known_ids
    group by vocabulary
)

select
    vocabulary,
    n_rows,
    n_indices,
    n_values,
    first_index,
    last_index
from counted
where
    n_indices <> n_rows
    or n_values <> n_rows
    or first_index <> 1
    or last_index <> n_rows
