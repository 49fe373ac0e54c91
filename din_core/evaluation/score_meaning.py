"""What a score means: a probability of a click, or only which candidate is likelier.

A model that was trained against sampled negatives has never seen what was shown and not clicked.
Its odds are those of a click up to a constant, so its scores are *relative*. Of a log of labelled
impressions, and with a given base rate, they become probabilities
(:mod:`din_core.metrics.prior_correction`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import duckdb

from din_core.config import TrainingConfig, config_from_mapping
from din_core.inputs import training_data
from din_core.metrics.prior_correction import odds_factor
from din_core.store import ledger, sql_files

ScoreIs = Literal["relative", "click_probability"]


@dataclass(frozen=True)
class ScoreMeaning:
    """What the scores of a model mean.

    Attributes:
        score_is: ``click_probability`` where training saw logged impressions, else ``relative``.
        trained_rate: Share of positives among the training samples; None where there are not both.
        base_rate: Share of impressions that are clicked where the model is used, as it was given.
    """

    score_is: ScoreIs
    trained_rate: float | None
    base_rate: float | None = None

    @property
    def odds_factor(self) -> float | None:
        """What the odds of a score are multiplied by for the probability of a click."""
        if self.base_rate is not None and self.trained_rate is not None:
            return odds_factor(self.trained_rate, self.base_rate)
        return 1.0 if self.score_is == "click_probability" and self.base_rate is None else None

    def sentence(self) -> str:
        """Say it to a reader."""
        if self.score_is == "click_probability" and self.base_rate is None:
            return "A score is the probability of a click, on impressions like the logged ones."
        if self.base_rate is not None and self.trained_rate is None:
            return (
                f"A score is relative, and the base rate {self.base_rate:.3g} has no effect: "
                "training saw samples of one label only."
            )
        if self.odds_factor is not None:
            return (
                f"A score is relative to training samples of which a share of "
                f"{self.trained_rate:.3g} was positive. With the base rate {self.base_rate:.3g}, "
                f"its odds times {self.odds_factor:.3g} are those of a click "
                "(predictions.click_probability)."
            )
        return (
            "A score is relative, no rate of clicks: the negatives were sampled. It says which "
            "candidate is likelier; with a base_rate (ops: test_auc: config) the predictions also "
            "hold the probability of a click."
        )


def score_is(*, labelled: bool) -> ScoreIs:
    """Return what the scores of a model are that was trained on a log.

    Args:
        labelled: Whether the log has labelled impressions.
    """
    return "click_probability" if labelled else "relative"


def of_latest_model(con: duckdb.DuckDBPyConnection, base_rate: float | None = None) -> ScoreMeaning:
    """Return what the scores of the latest model mean.

    Args:
        con: Connection to the pipeline's database.
        base_rate: Share of impressions that are clicked, in (0, 1), where it is known.
    """
    made = training_data.recorded_negatives(con)
    recorded = ledger.entries(con).get("din_model")
    config = config_from_mapping(TrainingConfig, {} if recorded is None else recorded.options)
    if not made["labelled"] and config.negatives != "fixed":
        per_positive = config.redrawn_per_positive or made["negatives_per_positive"]
        rate = 1 / (1 + per_positive)
    else:
        samples, positives = con.execute(sql_files.render("training_share")).fetchall()[0]
        rate = positives / samples if samples else 0.0
    meaning = score_is(labelled=made["labelled"])
    return ScoreMeaning(meaning, rate if 0 < rate < 1 else None, base_rate)
