-- asset: users
-- severity: error
-- User indices run 1 ... n without gap or repetition: they are rows of an embedding table, and two
-- users under one index would be trained as one.
-- what_to_do: Nothing is wrong with the log: the vocabulary was built wrongly. Run `din run --all`;
-- if the check still fails, report it with the examples.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(quote("users"), quote("user_idx"), quote("user_id")) }}
