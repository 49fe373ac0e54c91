-- asset: items
-- severity: error
-- Item indices run 1 ... n without gap or repetition: they are rows of an embedding table, and the
-- negative draw counts on them.
-- what_to_do: Nothing is wrong with the log: the vocabulary was built wrongly. Run `din run --all`;
-- if the check still fails, report it with the examples.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(quote("items"), quote("item_idx"), quote("item_id")) }}
