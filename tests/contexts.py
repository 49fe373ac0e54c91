"""A template context made by hand, and which tables it says nothing of."""

import dataclasses

from din_core.config import SequenceConfig
from din_core.tables.attributes import Attribute
from din_core.tables.template_context import TemplateContext

#: Tables that are made of a model's answers: where there is none, they are not there.
OF_A_MODEL = {"test_predictions", "attention_weights"}


def context(**changes):
    """The context of an unlabelled log with the tutorial's options, but for some changes."""
    options = SequenceConfig()
    of_class = dataclasses.fields(TemplateContext)
    required = [each for each in of_class if each.default is dataclasses.MISSING]
    fields = {
        **{each.name: () for each in required if each.type.startswith("tuple")},
        "item_attributes": (Attribute("cate_id"),),
        "labelled": False,
        "max_history": options.max_history,
        "min_interactions": options.min_interactions,
        "negatives_per_positive": options.negatives_per_positive,
        "negative_sampling": options.negative_sampling,
        "split": options.split,
        "sampling_seed": options.sampling_seed,
    }
    return TemplateContext(**{**fields, **changes})
