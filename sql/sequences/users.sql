-- Vocabulary of the users, with the attributes that describe them.
-- Grain: one row per known user, at their index of known_ids; indices run 1 ... n. 0 means unknown.
-- in_log: whether the log has min_interactions rows of the user, taken or not where it is labelled;
-- one of whom it has not is known from an earlier load, and has no events.
-- An attribute or number is what most of the user's interactions agree on, then the smallest.
-- sqlfluff:exclude_rules:LT02,RF04,ST06
{% from "macros/decided_value.jinja" import decided_values, decided_columns, decided_joins %}
{% from "macros/decided_number.jinja" import decided_numbers, number_columns, number_joins %}
{% from "macros/in_ids.jinja" import value_of %}
with

{{ decided_values(quote("user_id"), user_attributes) }}
{{ decided_numbers(quote("user_id"), user_dense) }}
known_users as (
    select
        idx as user_idx,
        {{ value_of(user_ids) }} as user_id,
        in_log
    from known_ids
    where vocabulary = 'user'
)

select
    known_users.user_idx,
    known_users.user_id,
    known_users.in_log
{{- decided_columns(user_attributes) }}
{{- number_columns(user_dense) }}

from known_users
{{ decided_joins(quote("known_users"), quote("user_id"), user_attributes) }}
{{ number_joins(quote("known_users"), quote("user_id"), user_dense) }}
order by known_users.user_idx
