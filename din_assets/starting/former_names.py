"""Names in a run configuration that there were once, each with what takes its place."""

from collections.abc import Mapping

#: Option to its successor in words, by where it stood.
OPTIONS: Mapping[tuple[str, str], str] = {
    ("ops: users", "min_interactions"): (
        "it stands with the step known_ids now, which decides who is known"
    ),
    ("ops: negatives", "seed"): "it is called sampling_seed now",
    ("ops: din_model", "negatives_per_positive"): "it is called redrawn_per_positive now",
    ("ops: din_model", "pooling"): (
        "model: din attends to the history (pooling: attention), and model: base_model adds it up "
        "(pooling: sum)"
    ),
}

#: Resource to its successor.
RESOURCES: Mapping[str, str] = {"warehouse": "it is called store now"}
