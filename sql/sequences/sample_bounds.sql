-- asset: samples
-- kind: view
-- What training needs of the samples, without the histories: where each begins, not what it holds.
-- Grain: one row per sample; k = 0 is the positive, k = 1 ... n its negatives. The history of a row
-- is the user's events at the positions history_start ... history_end. This is a view.
{% from "macros/examples.jinja" import split_examples with context %}
{% from "macros/history.jinja" import history_start with context %}
with

{{ split_examples() }}
final as (
    select
        examples.user_idx,
        examples.position,
        examples.k,
        examples.label,
        examples.item_idx,
        examples.split,
        {% for number in context_dense %}
        examples.{{ number.column }},
        {% endfor %}
        {{ history_start() }} as history_start,
        examples.history_end
    from split_examples as examples
)

select
    user_idx,
    position,
    k,
    label,
    item_idx,
    split,
    {% for number in context_dense %}
    {{ number.column }},
    {% endfor %}
    history_start,
    history_end
from final
