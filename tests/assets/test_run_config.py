"""Run configuration: derived from the library's options, described, bounded, typo-proof."""

import dataclasses
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

import din_assets
from din_assets import refresh_config, training
from din_assets.definitions import build_defs
from din_assets.run_config import BOUNDS, descriptions, mirror
from din_core import config, presets

PRESETS = sorted((Path(din_assets.__file__).parent / "presets").glob("*.yaml"))
OPTIONS = [
    config.SourceConfig, config.SequenceConfig, *config.MODEL_CONFIGS.values(),
    config.TrainingConfig, config.SyntheticConfig,
]  # fmt: skip


@pytest.mark.parametrize("cls", OPTIONS, ids=lambda cls: cls.__name__)
def test_every_option_is_described_and_every_number_bounded(cls):
    described = descriptions(cls)
    for field in dataclasses.fields(cls):
        assert described.get(field.name), f"{cls.__name__}.{field.name} has no description"
        is_number = isinstance(field.default, int | float) and not isinstance(field.default, bool)
        assert not is_number or field.name in BOUNDS, f"{cls.__name__}.{field.name} has no range"


def test_bounds_name_only_options_that_exist():
    known = {field.name for cls in OPTIONS for field in dataclasses.fields(cls)}
    assert set(BOUNDS) <= known


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_is_a_valid_run_configuration(preset):
    job = build_defs().resolve_job_def("all_assets")
    dg.validate_run_config(job, yaml.safe_load(preset.read_text()))


def test_typo_is_refused_before_the_run():
    job = build_defs().resolve_job_def("all_assets")
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_histori"):
        dg.validate_run_config(job, {"ops": {"samples": {"config": {"max_histori": 3}}}})


def test_value_out_of_range_is_refused():
    with pytest.raises(ValidationError, match="dropout"):
        training.DinModelConfig(dropout=1.0)


@pytest.mark.parametrize("name", ["tutorial", "default", "best"])
def test_preset_file_gives_the_library_preset(name):
    preset = getattr(presets, name.upper())
    file = yaml.safe_load(next(p for p in PRESETS if p.stem == name).read_text())
    spelled = file.get("ops", {}).get("din_model", {}).get("config", {})
    options = training.DinModelConfig(**spelled).model_dump()
    assert training.chosen_model(options) == preset.model
    assert config.from_options(config.TrainingConfig, options) == preset.training


def test_any_model_may_be_chosen_and_has_the_shared_options_of_the_preset():
    network = training.chosen_model(training.DinModelConfig(model="pnn").model_dump())
    shared = dataclasses.asdict(presets.DEFAULT.model)
    assert network == config.PNNConfig(
        **{name: shared[name] for name in ("embed_dim", "activation", "use_user")},
        embedding_init_std=shared["embedding_init_std"],
    )
    with pytest.raises(ValidationError, match="Input should be 'din', 'base_model'"):
        training.DinModelConfig(model="dien")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("model", config.MODEL_CONFIGS)
def test_any_model_goes_with_any_preset(preset, model):
    spelled = yaml.safe_load(preset.read_text())["ops"].get("din_model", {}).get("config", {})
    options = training.DinModelConfig(**{**spelled, "model": model}).model_dump()
    assert training.chosen_model(options).model == model


def test_option_of_another_model_is_refused_before_the_run():
    chosen = {"model": "base_model", "attention_dims": [64, 32], "product_inputs": True}
    refresh_config.check_names({"ops": {"din_model": {"config": chosen}}})
    with pytest.raises(
        refresh_config.RunConfigError,
        match=r"ops: din_model: attention_dims is \[5\], and the model base_model has no",
    ):
        refresh_config.check_names(
            {"ops": {"din_model": {"config": {**chosen, "attention_dims": [5]}}}}
        )


def test_mirrored_class_takes_only_what_it_is_told():
    cls = mirror("Some", config.SequenceConfig, only=("seed",), defaults={"seed": 3}, doc="Some.")
    assert cls().model_dump() == {"seed": 3}
