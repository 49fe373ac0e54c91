"""What the peers' DINs are trained with: published choices of their own authors.

Where one had to differ it is said why. Every side stops early on the validation AUC and keeps the
best epoch; test labels decide nothing.
"""

from __future__ import annotations

from typing import Any


def fuxictr_settings() -> dict[str, Any]:
    """FuxiCTR's own choice for Amazon reviews, with the widths that fit two cores.

    The recipe is the one that FuxiCTR's authors publish as the best of their search for
    AmazonElectronics_x1 (reczoo/BARS, ranking/ctr/DIN/DIN_amazonelectronics_x1, experiment
    015_8539c013): one unit over item and category, softmax, Dice, batch normalisation, dropout,
    strong L2 of the embeddings, Adam whose rate falls to a tenth on each plateau, no user id. Their
    embeddings are 64 wide and the unit (512, 256); here 32 and (64, 32). They monitor the AUC
    within users with patience 2, over epochs of 2,548 steps; here it is the AUC, as for every side,
    with patience 5, as an epoch of the logs here has 150 to 400 steps.
    """
    return {
        **fuxictr_bars_settings(),
        "embedding_dim": 32,
        "attention_hidden_units": [64, 32],
    }


def fuxictr_bars_settings() -> dict[str, Any]:
    """The published settings with their own widths: some ten times the work of the other."""
    return {
        "embedding_dim": 64,
        "attention_hidden_units": [512, 256],
        "attention_hidden_activations": "Dice",
        "attention_output_activation": None,
        "attention_dropout": 0.1,
        "din_use_softmax": True,
        "dnn_hidden_units": [1024, 512, 256],
        "dnn_activations": "Dice",
        "net_dropout": 0.1,
        "batch_norm": True,
        "embedding_regularizer": 0.005,
        "net_regularizer": 0,
        "learning_rate": 5e-4,
        "batch_size": 1024,
        "epochs": 100,
        "early_stop_patience": 5,
    }


def deepctr_settings() -> dict[str, Any]:
    """The defaults of DeepCTR-Torch's ``DIN`` and ``fit``, and the optimizer of its DIN example.

    Network, L2, initialisation and batch size are the defaults of the library's signatures, Adagrad
    is that of ``examples/run_din.py``. Embeddings are 32 wide as in the other sides, where the
    example has 8, and patience is 5 as in them. The example's user id is left out: with it, and
    also with Adam, the *validation* AUC on the first 600 users of the grocery log was lower (0.603
    and 0.587 instead of 0.619).
    """
    return {
        "embedding_dim": 32,
        "use_user": False,
        "dnn_hidden_units": [256, 128],
        "dnn_activation": "relu",
        "att_hidden_size": [64, 16],
        "att_activation": "Dice",
        "att_weight_normalization": False,
        "l2_reg_embedding": 1e-6,
        "dnn_dropout": 0.0,
        "init_std": 1e-4,
        "optimizer": "adagrad",
        "batch_size": 256,
        "epochs": 50,
        "early_stop_patience": 5,
    }
