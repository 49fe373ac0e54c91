-- asset: samples
-- kind: view
-- What training needs of `samples`, without the histories: where each begins, not what it holds.
-- Grain: one row per sample; k = 0 is the positive, k = 1 ... n its negatives. The history of a row
-- is the user's events at the positions history_start ... history_end. This is a view.
{% from "macros/examples.jinja" import examples with context %}
{% from "macros/split.jinja" import split_bounds, split_of with context %}
with

{{ examples() }}
sequences as (
    select
        user_idx,
        {{ split_bounds() }}
    from user_sequences
),

final as (
    select
        examples.user_idx,
        examples.position,
        examples.k,
        examples.label,
        examples.item_idx,
        {{ split_of() }} as split,
        greatest(1, examples.history_end - {{ max_history - 1 }}) as history_start,
        examples.history_end
    from examples
    inner join sequences on examples.user_idx = sequences.user_idx
)

select
    user_idx,
    position,
    k,
    label,
    item_idx,
    split,
    history_start,
    history_end
from final
