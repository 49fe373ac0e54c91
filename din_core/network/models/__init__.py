"""The click models, and how to build one from its configuration and a log's vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from din_core.config import BaseModelConfig, DINConfig, ModelConfig, PNNConfig, validate
from din_core.network.features import (
    DenseFeature,
    Normalization,
    SequenceFeature,
    SparseFeature,
    VectorFeature,
)
from din_core.network.models.base_model import BaseModel
from din_core.network.models.click_model import ClickModel, ModelInputs
from din_core.network.models.din import DIN
from din_core.network.models.pnn import PNN
from din_core.network.vocabulary import Vocabulary

__all__ = ["BUILDERS", "DIN", "PNN", "BaseModel", "ClickModel", "ModelInputs", "build_model"]

#: What builds the model of a configuration. A further model is one more line.
BUILDERS: dict[type[ModelConfig], Callable[[Any, ModelInputs], ClickModel]] = {
    DINConfig: DIN.from_config,
    BaseModelConfig: BaseModel,
    PNNConfig: PNN,
}

#: Numbers of the log are logarithms, of an order of magnitude or two; each may be missing.
_LOGARITHM = Normalization(std=2.0, has_missing=True)


def build_model(config: ModelConfig, vocabulary: Vocabulary) -> ClickModel:
    """Build the network for a log; inputs are named as the columns of ``encoded_samples``.

    Those are ``target_item_idx`` with ``hist_item_idx``, ``target_<c>`` with ``hist_<c>`` for the
    index column of every item attribute, ``user_idx`` where the configuration wants it, and the
    index columns of the user attributes; and numbers, ``target_<n>`` for those of the item, those
    of user and context by their own names, and ``log_numbers`` by theirs.

    Args:
        config: The network's options; its class says which model.
        vocabulary: How many ids there are; tables get one more row, for padding and unknown. And
            by what numbers are measured.

    Returns:
        A freshly initialised model, drawn from torch's global generator: seed it before.

    Raises:
        OptionsError: A field of ``config`` must not be what it is.
        TypeError: A configuration that :data:`BUILDERS` has no model for.
    """
    validate(config)
    item_columns = {"item_idx": vocabulary.n_items, **vocabulary.item_attributes}
    targets: list[VectorFeature] = [
        SparseFeature(f"target_{column}", size + 1, config.embed_dim)
        for column, size in item_columns.items()
    ]
    targets += [
        DenseFeature(f"target_{column}", normalization=by)
        for column, by in vocabulary.item_dense.items()
    ]
    histories = [
        SequenceFeature(
            f"hist_{column}",
            size + 1,
            config.embed_dim,
            pooling="concat",
            shared_with=f"target_{column}",
            own_table=config.history_embeddings == "separate",
        )
        for column, size in item_columns.items()
    ]
    user_columns = {"user_idx": vocabulary.n_users} if config.use_user else {}
    others: list[VectorFeature] = [
        SparseFeature(column, size + 1, config.embed_dim)
        for column, size in {**user_columns, **vocabulary.user_attributes}.items()
    ]
    others += [
        DenseFeature(column, normalization=by)
        for column, by in {**vocabulary.user_dense, **vocabulary.context_dense}.items()
    ]
    others += [DenseFeature(name, normalization=_LOGARITHM) for name in config.log_numbers]
    if type(config) not in BUILDERS:
        raise TypeError(
            f"no model is built from a {type(config).__name__}; add it to "
            "din_core.network.models.BUILDERS"
        )
    model = BUILDERS[type(config)](config, ModelInputs(others, histories, targets))
    model.log_numbers = config.log_numbers
    return model
