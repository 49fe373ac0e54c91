-- Vocabulary of the users, with the attributes that describe them.
-- Grain: one row per user with at least min_interactions interactions (of positive ones, where the
-- log is labelled); indices run 1 ... n in the order of the ids. 0 means unknown.
-- An attribute or number is what most of the user's interactions agree on, then the smallest.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/decided_value.jinja" import decided_values, decided_columns, decided_joins %}
{% from "macros/decided_number.jinja" import decided_numbers, number_columns, number_joins %}
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

{{ decided_values(quote("user_id"), user_attributes) }}
{{ decided_numbers(quote("user_id"), user_dense) }}
numbered_users as (
    select
        cast(row_number() over (order by user_id) as integer) as user_idx,
        user_id
    from kept_users
)

select
    numbered_users.user_idx,
    numbered_users.user_id
{{- decided_columns(user_attributes) }}
{{- number_columns(user_dense) }}

from numbered_users
{{ decided_joins(quote("numbered_users"), quote("user_id"), user_attributes) }}
{{ number_joins(quote("numbered_users"), quote("user_id"), user_dense) }}
order by numbered_users.user_idx
