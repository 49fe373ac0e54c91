-- asset: items
-- severity: error
-- Item indices run 1 ... n without gap or repetition: they are rows of an embedding table, and the
-- negative draw counts on them.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(quote("items"), quote("item_idx"), quote("item_id")) }}
