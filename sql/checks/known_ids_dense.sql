-- asset: known_ids
-- severity: error
-- Within each vocabulary the indices run 1 ... n and no id has two: they are rows of an embedding
-- table, and an id with another one's index would be trained as that one.
-- what_to_do: Nothing is wrong with the log: the indices were kept wrongly. Run `din vocabulary
-- compact` and then `din run`, which number all ids anew; report it with the examples.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(quote("known_ids"), quote("idx"), quote("value"), quote("vocabulary")) }}
