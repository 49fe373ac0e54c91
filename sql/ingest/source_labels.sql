-- asset: interactions
-- kind: query
-- given: source_rows
-- needs: labelled
-- What stands in the column of the label: '' where nothing does.
-- Grain: one row per label; of the most_labels most frequent ones, of all where that is 0.
with

counted as (
    select
        coalesce(cast(label as varchar), '') as label,
        count(*) as n_rows
    from source_rows
    group by coalesce(cast(label as varchar), '')
)

select
    label,
    n_rows
from counted
{% if most_labels %}
qualify row_number() over (order by n_rows desc, label asc) <= {{ most_labels }}
{% endif %}
