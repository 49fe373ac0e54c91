-- asset: users
-- severity: error
-- User indices run 1 ... n without gap or repetition: they are rows of an embedding table, and two
-- users under one index would be trained as one.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(quote("users"), quote("user_idx"), quote("user_id")) }}
