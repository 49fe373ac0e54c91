-- asset: model_versions
-- kind: query
-- Which files the log was read from, and on how much of it the latest figures were computed.
-- Grain: one row. Files have no folder where they were read from one alone.
with

source_files as (
    select
        min(file) as first_file,
        count(distinct file) as files
    from interactions
)

select
    source_files.first_file,
    source_files.files,
    evaluated_model.n_samples,
    evaluated_model.n_users
from source_files
cross join evaluated_model
