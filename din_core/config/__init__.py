"""What can be chosen, in one place: frozen dataclasses with the tutorial's defaults, by step.

Every option of the pipeline is a field here, declared with :func:`~din_core.config.options.option`:
its default, its description and its range stand there and nowhere else. The asset layer mirrors
them as run configuration, the library takes them as they are, and :func:`validate` refuses what
must not be. Nothing here does any work.
Presets (a named set of choices) are the run-config files in ``din_assets/presets``.
"""

from din_core.config.ablation import AblationConfig, BasePreset
from din_core.config.evaluation import BaseModelEvidenceConfig, EvaluationConfig, RankingConfig
from din_core.config.explanations import ExplanationConfig
from din_core.config.kinds import Option
from din_core.config.launching import LaunchConfig
from din_core.config.model import (
    MODEL_CONFIGS,
    Attention,
    BaseModelConfig,
    DINConfig,
    HistoryEmbeddings,
    LogNumber,
    MLPModelConfig,
    ModelConfig,
    PNNConfig,
    ProductLayer,
    model_config,
    options_of_others,
)
from din_core.config.options import (
    OptionsError,
    config_from_mapping,
    described_options,
    refuse_contradiction,
    validate,
)
from din_core.config.publishing import Publish, PublishingConfig
from din_core.config.sequences import NegativeSampling, SequenceConfig, Split
from din_core.config.source import GrowthConfig, Quoting, SourceConfig, TimeUnit, Vocabularies
from din_core.config.synthetic import SyntheticConfig
from din_core.config.training import (
    Device,
    LearningRateSchedule,
    Precision,
    RedrawnSampling,
    TrainingConfig,
    TrainingNegatives,
    WarmStart,
)
from din_core.config.warehouse import WarehouseConfig

__all__ = [
    "MODEL_CONFIGS",
    "AblationConfig",
    "Attention",
    "BaseModelConfig",
    "BaseModelEvidenceConfig",
    "BasePreset",
    "DINConfig",
    "Device",
    "EvaluationConfig",
    "ExplanationConfig",
    "GrowthConfig",
    "HistoryEmbeddings",
    "LaunchConfig",
    "LearningRateSchedule",
    "LogNumber",
    "MLPModelConfig",
    "ModelConfig",
    "NegativeSampling",
    "Option",
    "OptionsError",
    "PNNConfig",
    "Precision",
    "ProductLayer",
    "Publish",
    "PublishingConfig",
    "Quoting",
    "RankingConfig",
    "RedrawnSampling",
    "SequenceConfig",
    "SourceConfig",
    "Split",
    "SyntheticConfig",
    "TimeUnit",
    "TrainingConfig",
    "TrainingNegatives",
    "Vocabularies",
    "WarehouseConfig",
    "WarmStart",
    "config_from_mapping",
    "described_options",
    "model_config",
    "options_of_others",
    "refuse_contradiction",
    "validate",
]
