-- asset: cates
-- severity: error
-- Category indices run 1 ... n without gap or repetition: they are rows of an embedding table.
{% from "macros/vocabulary.jinja" import vocabulary_findings %}
{% if item_attributes %}
{{ vocabulary_findings(quote("cates"), item_attributes[0].index, item_attributes[0].column) }}
{% else %}
{{ vocabulary_findings(quote("cates"), quote("cate_idx"), quote("cate_id")) }}
{% endif %}
