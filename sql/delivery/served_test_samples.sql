-- asset: bundle, model_versions
-- kind: query
-- Rows of `samples` beside what the model answered, to ask a bundle the same: the first max_rows of
-- the test split, of one user in one_user_in.
-- Grain: one row per row of test_predictions, as `samples` shows it, with its score; where a model
-- takes numbers of the log, with the times of the sample and of its history, in seconds.
{% from "macros/history.jinja" import history_of with context %}
{% from "macros/event_times.jinja" import event_times with context %}
with

{% if with_times %}
{{ event_times() }}
{% endif %}
asked as (
    select
        user_idx,
        position,
        k,
        target_item_idx,
        history_end,
        label,
        score
    from test_predictions
    where user_idx % {{ one_user_in }} = 0
    order by user_idx, position, k
    limit {{ max_rows }}
),

examples as (
    select
        asked.user_idx,
        asked.position,
        asked.k,
        asked.history_end,
        asked.label,
        asked.score,
        behaviour_sequences.user_id,
        behaviour_sequences.items,
        {% for number in context_dense %}
        sample_bounds.{{ number.column }},
        {% endfor %}
        {% if with_times %}
        event_times.times,
        -- Only a logged negative is shown at another time than the event at its position.
        cast(coalesce(negatives.time, events.time) as double) as time,
        {% endif %}
        items.item_id as target_item_id
    from asked
    inner join behaviour_sequences on asked.user_idx = behaviour_sequences.user_idx
    inner join items on asked.target_item_idx = items.item_idx
    {% if context_dense %}
    inner join sample_bounds
        on
            asked.user_idx = sample_bounds.user_idx
            and asked.position = sample_bounds.position
            and asked.k = sample_bounds.k
    {% endif %}
    {% if with_times %}
    inner join event_times on asked.user_idx = event_times.user_idx
    left join events
        on asked.user_idx = events.user_idx and asked.position = events.position
    left join negatives
        on
            asked.user_idx = negatives.user_idx
            and asked.position = negatives.position
            and asked.k = negatives.k
    {% endif %}
),

final as (
    select
        examples.user_idx,
        examples.position,
        examples.k,
        examples.user_id,
        examples.target_item_id,
        {{ history_of("examples." ~ quote("items")) }} as hist_item_id,
        {% if with_times %}
        {{ history_of("examples." ~ quote("times")) }} as hist_time,
        examples.time,
        {% endif %}
        {% for number in context_dense %}
        examples.{{ number.column }},
        {% endfor %}
        examples.label,
        examples.score
    from examples
)

select
    user_idx,
    user_id,
    target_item_id,
    hist_item_id,
    {% if with_times %}
    hist_time,
    time,
    {% endif %}
    {% for number in context_dense %}
    {{ number.column }},
    {% endfor %}
    label,
    score
from final
order by user_idx, position, k
