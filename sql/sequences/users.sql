-- Vocabulary of the users, with the attributes that describe them.
-- Grain: one row per user with at least min_interactions interactions (of positive ones, where the
-- log is labelled); indices run 1 ... n in the order of the ids. 0 means unknown.
-- An attribute is the value most of the user's interactions agree on, then the smallest.
{% from "macros/decided_value.jinja" import decided_values %}
with

kept_users as (
    select user_id
    from interactions
    group by user_id
    {% if labelled %}
    having count(case when label = 1 then 1 end) >= {{ min_interactions }}
    {% else %}
    having count(*) >= {{ min_interactions }}
    {% endif %}
),

{% for attribute in user_attributes %}
{{ decided_values(quote("user_id"), attribute) }}
{% endfor %}
numbered_users as (
    select
        cast(row_number() over (order by user_id) as integer) as user_idx,
        user_id
    from kept_users
)

select
    numbered_users.user_idx,
    numbered_users.user_id
    {%- for attribute in user_attributes %},
    coalesce({{ attribute.vocabulary }}.value_idx, 0) as {{ attribute.index }}
{%- endfor %}

from numbered_users
{% for attribute in user_attributes %}
left join {{ attribute.decision }}
    on numbered_users.user_id = {{ attribute.decision }}.user_id
left join attributes as {{ attribute.vocabulary }}
    on
        {{ attribute.vocabulary }}.attribute = {{ attribute.literal }}
        and cast({{ attribute.decision }}.{{ attribute.column }} as varchar)
        = {{ attribute.vocabulary }}.value
{% endfor %}
order by numbered_users.user_idx
