"""Run configuration: derived from the library's options, described, bounded, typo-proof."""

import dataclasses
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

import din_assets
from din_assets.assets import ingest, sequences, training
from din_assets.definitions import build_defs
from din_assets.making.run_config import mirror
from din_assets.starting import refresh_config
from din_core import config, presets
from din_core.config import described_options
from din_core.errors import DinError

PRESETS = sorted((Path(din_assets.__file__).parent / "presets").glob("*.yaml"))
OPTIONS = [
    config.SourceConfig, config.SequenceConfig, *config.MODEL_CONFIGS.values(),
    config.TrainingConfig, config.SyntheticConfig,
]  # fmt: skip


def mirrored(cls):
    """Each run-config class with the names that it has of a dataclass, and where it stands."""
    known = set(described_options(cls))
    for name, made in {
        **{f"ops: {step}": made for step, made in sequences.CONFIG_CLASSES.items()},
        "ops: din_model": training.DinModelConfig,
        "ops: interactions": ingest.InteractionsConfig,
        "ops: interactions: synthetic": ingest.SyntheticLogConfig,
    }.items():
        own = {
            **dict.fromkeys(config.MODEL_CONFIGS.values(), name == "ops: din_model"),
            config.TrainingConfig: name == "ops: din_model",
            config.SourceConfig: name == "ops: interactions",
            config.SyntheticConfig: name == "ops: interactions: synthetic",
            config.SequenceConfig: name.removeprefix("ops: ") in sequences.CONFIG_CLASSES,
        }
        if own[cls]:
            yield name, made, known & set(made.model_fields)


@pytest.mark.parametrize("cls", OPTIONS, ids=lambda cls: cls.__name__)
def test_every_option_can_be_chosen_in_a_run_with_the_same_words(cls):
    found = {}
    for _, made, names in mirrored(cls):
        found |= {name: made.model_fields[name].description for name in names}
    expected = {name: each.text for name, each in described_options(cls).items()}
    # The source's own sentence says as well what is read where none is named.
    assert (found.pop("path", None) is not None) == (expected.pop("path", None) is not None)
    assert found == expected


@pytest.mark.parametrize("cls", OPTIONS, ids=lambda cls: cls.__name__)
def test_a_value_out_of_range_is_refused_before_a_run_by_name_value_and_range(cls):
    for where, made, names in mirrored(cls):
        for name in names:
            each = described_options(cls)[name]
            if not each.numbers:
                continue
            value = [0.5] if each.kind not in (int, float) else float("nan")
            step, *inner = where.removeprefix("ops: ").split(": ")
            options = {name: value}
            for section in inner:
                options = {section: options}
            with pytest.raises(refresh_config.RunConfigError) as caught:
                refresh_config.check_names({"ops": {step: {"config": options}}})
            default = made.model_fields[name].default
            assert str(caught.value) == (
                f"{where}: {name} is {value!r}, must be {each.allowed()}; the default is "
                f"{default!r}"
            )


@pytest.mark.parametrize(
    ("ops", "sentence"),
    [
        (
            {"samples": {"split": "temporal", "val_from": 0.9, "test_from": 0.8}},
            "ops: samples: val_from is 0.9, test_from 0.8: validation comes before test",
        ),
        (
            {"interactions": {"synthetic": {"n_cates": 5000}}},
            "ops: interactions: synthetic: n_cates is 5000, must be at most n_items, 1000",
        ),
        (
            {"din_model": {"model": "din_model"}},
            "ops: din_model: model is 'din_model', must be one of 'din', 'base_model', 'pnn'; is",
        ),
        ({"din_model": {"n_epoch": "5"}}, "ops: din_model: n_epoch is '5', must be an integer"),
        ({"interactions": {"path": 5}}, "ops: interactions: path is 5: Input should be a valid"),
    ],
)
def test_what_a_run_would_refuse_is_refused_before_it_in_the_words_of_the_library(ops, sentence):
    given = {step: {"config": options} for step, options in ops.items()}
    with pytest.raises(refresh_config.RunConfigError) as caught:
        refresh_config.check_names({"ops": given})
    assert str(caught.value).startswith(sentence)


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
    assert config.config_from_mapping(config.TrainingConfig, options) == preset.training


def test_any_model_may_be_chosen_and_has_the_shared_options_of_the_preset():
    network = training.chosen_model(training.DinModelConfig(model="pnn").model_dump())
    shared = dataclasses.asdict(presets.DEFAULT.model)
    assert network == config.PNNConfig(
        **{name: shared[name] for name in ("embed_dim", "activation", "use_user")},
        embedding_init_std=shared["embedding_init_std"],
    )
    with pytest.raises(ValidationError, match="model is 'dien', must be one of 'din', "):
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
    cls = mirror(
        "Some",
        config.SequenceConfig,
        only=("max_history",),
        defaults={"max_history": 3},
        doc="Some.",
    )
    assert cls().model_dump() == {"max_history": 3}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"redrawn_sampling": "popularity", "redrawn_per_positive": 2}, None),
        ({"redrawn_sampling": "as_table", "redrawn_per_positive": None}, None),
        ({"redrawn_sampling": "unifrom"}, "redrawn_sampling"),
        ({"redrawn_per_positive": 0}, "redrawn_per_positive"),
    ],
)
def test_what_training_redraws_is_left_open_or_one_of_what_there_is(options, says):
    job = build_defs().resolve_job_def("all_assets")
    run_config = {"ops": {"din_model": {"config": options}}}
    if says is None:
        refresh_config.check(run_config, job)
        assert training.DinModelConfig(**options).model_dump() | options == (
            training.DinModelConfig().model_dump() | options
        )
    else:
        with pytest.raises(DinError, match=says):
            refresh_config.check(run_config, job)
