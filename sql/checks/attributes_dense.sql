-- asset: attributes
-- severity: error
-- Within each attribute the indices run 1 ... n without gap or repetition: they are rows of an
-- embedding table.
-- what_to_do: Nothing is wrong with the log: the vocabulary was built wrongly. Run `din run --all`;
-- if the check still fails, report it with the examples.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{{ vocabulary_findings(
    quote("attributes"), quote("value_idx"), quote("value"), quote("attribute")
) }}
