-- asset: samples
-- kind: view
-- What each column of the source says of a sample, beside user, item, time and label: as the
-- options declare it, so that nobody has to guess it from names.
-- Grain: one row per attribute and dense column. role: what it describes (item, user, or context,
-- the interaction). kind: sparse (a value with an index) or dense (a number). place: its number in
-- its option, from 1. This is a view.
with

final as (
    -- The first part gives the columns their names and types, and no rows.
    select
        cast(null as varchar) as name,
        cast(null as varchar) as role,
        cast(null as varchar) as kind,
        cast(null as integer) as place
    where false
    {% for role, kind, columns in [
        ("item", "sparse", item_attributes),
        ("user", "sparse", user_attributes),
        ("item", "dense", item_dense),
        ("user", "dense", user_dense),
        ("context", "dense", context_dense),
    ] %}
    {% for column in columns %}
    union all
    select
        {{ column.literal }} as name,
        {{ literal(role) }} as role,
        {{ literal(kind) }} as kind,
        cast({{ loop.index }} as integer) as place
    {% endfor %}
    {% endfor %}
)

select
    name,
    role,
    kind,
    place
from final
