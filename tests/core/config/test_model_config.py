"""One tagged configuration: a model has its own options, and no other's."""

from __future__ import annotations

from typing import Literal

import pytest

from din_core.config import (
    MODEL_CONFIGS,
    BaseModelConfig,
    DINConfig,
    ModelConfig,
    PNNConfig,
    model_config,
)
from din_core.config.options import config_class, option, validate
from din_core.errors import RefusedOptionsError


def test_the_model_that_is_named_is_configured():
    options = {"embed_dim": 4, "mlp_dims": [3], "n_epoch": 7}
    assert model_config(options) == DINConfig(embed_dim=4, mlp_dims=(3,))
    assert model_config({**options, "model": "pnn", "product_layer": "elementwise"}) == PNNConfig(
        embed_dim=4, mlp_dims=(3,), product_layer="elementwise"
    )
    assert model_config({"model": "base_model"}) == BaseModelConfig()
    assert model_config({}, {"model": "pnn", "embed_dim": 9}) == PNNConfig(embed_dim=9)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            ("popularity", "age"),
            r"log_numbers is \('popularity', 'age'\), must be a list of 'popularity', .*default",
        ),
        (("popularity", "popularity"), "log_numbers names 'popularity' twice"),
    ],
)
def test_a_number_that_no_log_gives_or_that_is_named_twice_is_refused(names, sentence):
    with pytest.raises(RefusedOptionsError, match=sentence):
        validate(DINConfig(log_numbers=names))
    validate(DINConfig(log_numbers=("popularity", "same_moment_events")))


def test_a_bias_that_all_positions_would_share_is_refused():
    with pytest.raises(RefusedOptionsError, match=r"position_bias is 1, so all .*: set 2 or more"):
        validate(DINConfig(position_bias=1))
    for n_biases in (0, 2):
        validate(DINConfig(position_bias=n_biases))


def test_an_option_of_another_model_is_refused_unless_it_is_at_a_default():
    options = {"model": "pnn", "attention_dims": [64, 32]}
    with pytest.raises(
        RefusedOptionsError,
        match=r"attention_dims is \[64, 32\], and the model pnn has no such option \(din has\): "
        "leave it out, or choose model: din",
    ):
        model_config(options)
    assert model_config(options, {"attention_dims": (64, 32)}) == PNNConfig()
    # What a preset spells out is the default of the class, where another preset is that of the run.
    tutorial = {**options, "attention_dims": [256, 128]}
    assert model_config(tutorial, {"attention_dims": (64, 32)}) == PNNConfig()
    with pytest.raises(RefusedOptionsError, match=r"attention_dims is \[9\], and the model pnn"):
        model_config({"model": "pnn", "attention_dims": [9]}, {"attention_dims": (64, 32)})
    with pytest.raises(RefusedOptionsError, match="product_layer is 'elementwise', and the model"):
        model_config({"product_layer": "elementwise"})


def test_an_option_of_another_model_that_somebody_wrote_down_is_refused_at_its_default():
    options = {"model": "pnn", "attention_dims": [256, 128], "embed_dim": 4}
    assert model_config(options, typed=["model", "embed_dim"]) == PNNConfig(embed_dim=4)
    with pytest.raises(RefusedOptionsError, match=r"attention_dims is \[256, 128\], and the model"):
        model_config(options, typed=["attention_dims"])


def test_a_model_that_does_not_exist_is_refused():
    with pytest.raises(RefusedOptionsError, match="model is 'dien', must be one of 'din', 'base_m"):
        model_config({"model": "dien"})


def test_a_configuration_keeps_the_name_of_its_model():
    with pytest.raises(ValueError, match="model 'pnn' is not what a DINConfig configures"):
        DINConfig(model="pnn")
    with pytest.raises(ValueError, match="model 'din' is not what a ModelConfig configures"):
        ModelConfig(model="din")


def test_two_models_of_one_name_are_refused():
    with pytest.raises(TypeError, match="OtherConfig and PNNConfig both name the model pnn"):

        @config_class
        class OtherConfig(ModelConfig):
            model: Literal["pnn"] = option("pnn", "Which model is trained.")

    assert MODEL_CONFIGS["pnn"] is PNNConfig
