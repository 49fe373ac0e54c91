"""When a model takes the place of the one that is served, and where it is recorded besides."""

from __future__ import annotations

from typing import Literal

from din_core.config.options import config_class, option

Publish = Literal["auto", "always", "never"]


@config_class
class PublishingConfig:
    """When a model takes the place of the one that is served."""

    publish: Publish = option(
        "auto",
        "Whether the model takes the place of the published one: 'auto' unless its AUC is "
        "significantly below that one's on the same test rows (paired bootstrap over users), "
        "'always', or 'never'.",
    )
    mlflow: bool = option(
        False,
        "Whether each kept model is an MLflow run as well, where the variable MLFLOW_TRACKING_URI "
        "says, or else in a file of this log's own; it needs the extra 'mlflow'.",
    )
