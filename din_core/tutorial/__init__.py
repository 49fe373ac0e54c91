"""The names of torch-rechub's DIN tutorial, with its parameters and defaults, on this library.

For people who port a script. Thin: the sequences are built by the project's SQL, the network is
:class:`din_core.network.models.DIN`, files are written by :mod:`din_core.serving.graphs` and
:mod:`din_core.serving.pictures`. Where the original is known to be wrong, these are right, and
their docstrings say what differs. The pipeline itself uses none of this: it trains on flat
histories (:mod:`din_core.training.loop`), which is faster.
"""

from din_core.inputs.normalization import normalization_of
from din_core.network.features import DenseFeature, SequenceFeature, SparseFeature
from din_core.network.models import DIN
from din_core.tutorial.arrays import (
    df_to_dict,
    get_auto_embedding_dim,
    pad_sequences,
    vocabulary_sizes,
)
from din_core.tutorial.delivery import ONNXExporter, visualize_model
from din_core.tutorial.frames import generate_seq_feature
from din_core.tutorial.loaders import DataGenerator
from din_core.tutorial.trainer import CTRTrainer

__all__ = [
    "DIN",
    "CTRTrainer",
    "DataGenerator",
    "DenseFeature",
    "ONNXExporter",
    "SequenceFeature",
    "SparseFeature",
    "df_to_dict",
    "generate_seq_feature",
    "get_auto_embedding_dim",
    "normalization_of",
    "pad_sequences",
    "visualize_model",
    "vocabulary_sizes",
]
