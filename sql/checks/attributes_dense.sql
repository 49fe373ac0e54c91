-- asset: attributes
-- severity: error
-- Within each attribute the indices run 1 ... n without gap or repetition: they are rows of an
-- embedding table.
-- what_to_do: Nothing is wrong with the log: the vocabulary was built wrongly. Run `din run --all`;
-- if the check still fails, report it with the examples.
with

counted as (
    select
        attribute,
        count(*) as n_rows,
        count(distinct value_idx) as n_indices,
        count(distinct value) as n_values,
        min(value_idx) as first_index,
        max(value_idx) as last_index
    from attributes
    group by attribute
)

select
    attribute,
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
