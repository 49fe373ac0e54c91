"""How a model is judged on the test split."""

from __future__ import annotations

from din_core.config.options import config_class, option


@config_class
class EvaluationConfig:
    """What the figures of the test split are held against."""

    base_rate: float | None = option(
        None,
        "Share of all impressions that are clicked, where the model is to be used. With it "
        "`predictions` gives the probability of a click; without it, and without logged "
        "impressions, a score says only which candidate is likelier.",
        gt=0,
        lt=1,
    )
    allow_no_better_than_popularity: bool = option(
        False,
        "Go on where the log is large enough to tell and the model does not beat popularity by "
        "more than the interval of the difference, instead of failing.",
    )


@config_class
class RankingConfig:
    """How many test positives are ranked, and among what."""

    sampled_candidates: int = option(
        100, "Candidates drawn uniformly, beside the positive.", ge=1, le=1_000_000
    )
    sampled_positives: int = option(
        200, "Test positives ranked among them, at most; 0 ranks none.", ge=0, lt=2**31
    )
    all_items_positives: int | None = option(
        None,
        "Test positives ranked among all items, at most; 0 ranks none. Each takes as many scores "
        "as there are items; by default 40, or as many as 200,000 scores allow.",
        ge=0,
        lt=2**31,
    )
    ranking_seed: int = option(2022, "Seed of both draws.", ge=0, lt=2**30)


@config_class
class BaseModelEvidenceConfig:
    """Whether the model is compared with the paper's BaseModel."""

    train: bool = option(
        False,
        "Train the BaseModel with the options of `din_model` and compare the two on the test "
        "split. It takes about as long as training the model.",
    )
