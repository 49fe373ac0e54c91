"""Networks, and how to build one from the configuration and a log's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from din_core.network.features import SequenceFeature, SparseFeature, Vocabulary
from din_core.network.models.din import DIN

if TYPE_CHECKING:
    from din_core.config import ModelConfig

__all__ = ["DIN", "build_model"]


def build_model(config: ModelConfig, vocabulary: Vocabulary) -> DIN:
    """Build the network for a log; inputs are named as the columns of ``encoded_samples``.

    Those are ``target_item_idx`` with ``hist_item_idx``, ``target_<c>`` with ``hist_<c>`` for the
    index column of every item attribute, ``user_idx`` where the configuration wants it, and the
    index columns of the user attributes.

    Args:
        config: The network's options.
        vocabulary: How many ids there are; tables get one more row, for padding and unknown.

    Returns:
        A freshly initialised model, drawn from torch's global generator: seed it before.
    """
    item_columns = {"item_idx": vocabulary.n_items, **vocabulary.item_attributes}
    targets = [
        SparseFeature(f"target_{column}", size + 1, config.embed_dim)
        for column, size in item_columns.items()
    ]
    histories = [
        SequenceFeature(
            f"hist_{column}",
            size + 1,
            config.embed_dim,
            pooling="concat",
            shared_with=f"target_{column}",
        )
        for column, size in item_columns.items()
    ]
    user_columns = {"user_idx": vocabulary.n_users} if config.use_user else {}
    others = [
        SparseFeature(column, size + 1, config.embed_dim)
        for column, size in {**user_columns, **vocabulary.user_attributes}.items()
    ]
    return DIN(
        others,
        histories,
        targets,
        mlp_params={
            "dims": config.mlp_dims,
            "activation": config.activation,
            "dropout": config.dropout,
        },
        attention_mlp_params={
            "dims": config.attention_dims,
            "activation": config.activation,
            "use_softmax": config.use_softmax,
        },
        pooling=config.pooling,
        attention=config.attention,
        product_inputs=config.product_inputs,
        embedding_init_std=config.embedding_init_std,
    )
