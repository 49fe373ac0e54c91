"""Run configuration: derived from the library's options, described, bounded, typo-proof."""

import dataclasses
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

import din_assets
from din_assets.assets import (
    delivery,
    evaluation,
    evidence,
    explanations,
    ingest,
    publication,
    sequences,
    training,
)
from din_assets.command import config_files
from din_assets.definitions import alone, build_defs
from din_assets.making.run_config import mirror
from din_assets.starting import former_names, refresh_config
from din_core import config, presets
from din_core.config import described_options
from din_core.errors import DinError

PRESETS = sorted((Path(din_assets.__file__).parent / "presets").glob("*.yaml"))
OPTIONS = [
    config.SourceConfig, config.GrowthConfig, config.SequenceConfig, *config.MODEL_CONFIGS.values(),
    config.TrainingConfig, config.SyntheticConfig, config.ExplanationConfig,
    config.EvaluationConfig, config.RankingConfig, config.BaseModelEvidenceConfig,
    config.AblationConfig, config.PublishingConfig, config.WarehouseConfig, config.LaunchConfig,
]  # fmt: skip


def test_every_option_of_the_library_is_one_of_a_steps():
    # Code versions leave defaults out, since they are compared as options of a step.
    declared = {
        each
        for each in (*vars(config).values(), *config.MODEL_CONFIGS.values())
        if dataclasses.is_dataclass(each) and dataclasses.fields(each) and each is not config.Option
    }
    abstract = {config.ModelConfig, config.MLPModelConfig}
    assert declared - abstract == {*OPTIONS}
    for cls in OPTIONS:
        found = {name for _, _, names in mirrored(cls) for name in names}
        assert found == set(described_options(cls))


def mirrored(cls):
    """Each run-config class with the names that it has of a dataclass, and where it stands."""
    known = set(described_options(cls))
    for name, made in {
        **{
            f"ops: {step}": made
            for room in (sequences, evaluation, explanations, publication, delivery)
            for step, made in room.CONFIG_CLASSES.items()
        },
        "ops: ablation": evidence.AblationOptions,
        "ops: din_model": training.DinModelConfig,
        "ops: interactions": ingest.InteractionsConfig,
        "ops: interactions: synthetic": ingest.SyntheticLogConfig,
    }.items():
        own = {
            **dict.fromkeys(config.MODEL_CONFIGS.values(), name == "ops: din_model"),
            config.TrainingConfig: name == "ops: din_model",
            config.LaunchConfig: name == "ops: din_model",
            config.SourceConfig: name == "ops: interactions",
            config.GrowthConfig: name == "ops: interactions",
            config.SyntheticConfig: name == "ops: interactions: synthetic",
            config.SequenceConfig: name.removeprefix("ops: ") in sequences.CONFIG_CLASSES,
            config.AblationConfig: name == "ops: ablation",
            config.ExplanationConfig: name == "ops: attention_weights",
            config.EvaluationConfig: name == "ops: test_auc",
            config.RankingConfig: name == "ops: test_rankings",
            config.BaseModelEvidenceConfig: name == "ops: base_model_predictions",
            config.PublishingConfig: name == "ops: model_versions",
            config.WarehouseConfig: name == "ops: warehouse",
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


MODELS = ", ".join(map(repr, config.MODEL_CONFIGS))


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
            f"ops: din_model: model is 'din_model', must be one of {MODELS}; is",
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
    job = build_defs().resolve_job_def("full_run")
    dg.validate_run_config(job, yaml.safe_load(preset.read_text()))


def test_typo_is_refused_before_the_run():
    job = build_defs().resolve_job_def("full_run")
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_histori"):
        dg.validate_run_config(job, {"ops": {"samples": {"config": {"max_histori": 3}}}})


def test_value_out_of_range_is_refused():
    with pytest.raises(ValidationError, match="dropout"):
        training.DinModelConfig(dropout=1.0)


@pytest.mark.parametrize("name", ["tutorial", "default", "best", "trends"])
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


@pytest.mark.parametrize("preset", [path.stem for path in PRESETS])
@pytest.mark.parametrize("model", config.MODEL_CONFIGS)
def test_any_model_goes_with_any_preset(preset, model, tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump({"ops": {"din_model": {"config": {"model": model}}}}))
    asked = config_files.asked_for(file, preset).run_config
    refresh_config.check_names(asked)
    options = training.DinModelConfig(**asked["ops"]["din_model"]["config"]).model_dump()
    assert training.chosen_model(options).model == model


@pytest.mark.parametrize(
    ("step", "chosen", "sentence"),
    [
        (
            "din_model",
            {"model": "base_model", "attention_dims": [5]},
            "attention_dims is [5], and the model base_model has no such option (din has)",
        ),
        ("din_model", {"model": "base_model", "use_softmax": False}, "use_softmax is False, and"),
        ("din_model", {"product_layer": "inner"}, "product_layer is 'inner', and the model din"),
        ("din_model", {"negatives": "fixed", "redrawn_sampling": "as_table"}, "redrawn_sampling"),
        ("samples", {"val_from": 0.8}, "val_from is 0.8, but split is 'leave_one_out': choose"),
        (
            "interactions",
            {"label_col": "", "positive_labels": ["1"]},
            "positive_labels is ('1',), but label_col is ''",
        ),
    ],
)
def test_option_without_effect_is_refused_before_the_run(step, chosen, sentence):
    with pytest.raises(refresh_config.RunConfigError) as caught:
        refresh_config.check_names({"ops": {step: {"config": chosen}}})
    assert str(caught.value).startswith(f"ops: {step}: {sentence}")


def test_step_takes_what_dagster_writes_down_of_defaults_by_itself():
    # Dagster fills in the default of each choice, and of nothing else.
    training.DinModelConfig(embedding_l2=0.0, regularization="l2", product_layer="inner")
    training.DinModelConfig(negatives="fixed", redrawn_sampling="as_table")


@pytest.mark.parametrize("model", config.MODEL_CONFIGS)
def test_launchpad_that_writes_every_default_down_is_taken(model):
    ops = {
        "din_model": {**training.DinModelConfig().model_dump(exclude_none=True), "model": model},
        "samples": sequences.CONFIG_CLASSES["samples"]().model_dump(),
        "interactions": ingest.InteractionsConfig().model_dump(exclude_none=True),
    }
    refresh_config.check_names({"ops": {step: {"config": each} for step, each in ops.items()}})


@pytest.mark.parametrize(
    ("run_config", "sentence"),
    [
        (
            {"ops": {"negatives": {"config": {"seed": 3}}}},
            "ops: negatives: there is no option 'seed'; it is called sampling_seed now",
        ),
        (
            {"ops": {"din_model": {"config": {"negatives_per_positive": 3}}}},
            "ops: din_model: there is no option 'negatives_per_positive'; it is called redrawn_per",
        ),
        (
            {"ops": {"din_model": {"config": {"pooling": "sum"}}}},
            "ops: din_model: there is no option 'pooling'; model: din attends to the history",
        ),
        (
            {"resources": {"warehouse": {"config": {"threads": 1}}}},
            "resources: there is no resource 'warehouse'; it is called store now",
        ),
        (
            {"ops": {"samples": {"config": {"min_interactions": 3}}}},
            "ops: samples: there is no option 'min_interactions'; known_ids has it",
        ),
    ],
)
def test_name_of_earlier_or_of_elsewhere_is_refused_with_its_successor(run_config, sentence):
    with pytest.raises(refresh_config.RunConfigError) as caught:
        refresh_config.check_names(run_config)
    assert str(caught.value).startswith(sentence)


def test_successors_of_former_options_exist_and_the_former_do_not():
    classes = {**sequences.CONFIG_CLASSES, "din_model": training.DinModelConfig}
    for (where, name), said in former_names.OPTIONS.items():
        step = where.removeprefix("ops: ")
        fields = classes[step].model_fields if step in classes else {}
        assert name not in fields
        # By another name in the same step, or by its own name in another step.
        moved = [
            other for other, of in classes.items() if name in of.model_fields and other in said
        ]
        assert moved or any(each in said for each in fields if len(each) > 4), said


@pytest.mark.parametrize(
    ("run_config", "sentence"),
    [
        ([], "the run configuration: [] is not a mapping of names to values"),
        (["ops"], "the run configuration: ['ops'] is not a mapping of names to values"),
        (3, "the run configuration: 3 is not a mapping of names to values"),
        ({"loggers": {"consol": {}}}, "loggers: there is no logger 'consol'; is 'console' meant?"),
        (
            {"loggers": {"console": {"config": {"log_level": "LOUD"}}}},
            "loggers: console: log_level is 'LOUD', must be one of DEBUG, INFO, WARNING",
        ),
        ({"loggers": {"console": {"config": {"level": 1}}}}, "loggers: console: there is no opt"),
        ({"execution": 5}, "execution is 5, which Dagster does not take there; correct it, or"),
        (
            {"execution": {"multiprocess": {}}},
            "execution: there is no 'multiprocess'; correct it, or leave it out",
        ),
        (
            {"execution": {"config": {"marker_to_close": 5}}},
            "execution: config: marker_to_close is 5, which Dagster does not take",
        ),
        (
            {"ops": {"ablation": {"config": {"quick": True}}}},
            "ops: ablation is made by name only, and its options are given there: dagster asset",
        ),
    ],
)
def test_what_is_no_run_configuration_is_refused_in_a_sentence(run_config, sentence):
    job = build_defs().resolve_job_def("full_run")
    with pytest.raises(refresh_config.RunConfigError) as caught:
        refresh_config.check(run_config, job)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("text", ["[]", "[ops]", "5", "'ops'", "false"])
def test_file_without_keys_is_refused(tmp_path, text):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(config_files.ConfigFileError, match=r"my\.yaml holds .*; a run configura"):
        config_files.asked_for(file, None)
    file.write_text("# nothing\n")
    assert config_files.asked_for(file, None).run_config == {}


@pytest.mark.parametrize(
    ("ops", "sentence"),
    [
        (
            {"din_model": {"learning_rate": "1e-3"}},
            "ops: din_model: learning_rate is '1e-3', must be a number above 0 and below 1e+38; Y",
        ),
        ({"samples": {"max_histori": 3}}, "ops: samples: there is no option 'max_histori'; is 'm"),
    ],
)
def test_program_of_dagsters_that_is_refused_ends_in_the_sentence(capsys, ops, sentence):
    job = alone(build_defs()).resolve_job_def("full_run")
    given = {"ops": {step: {"config": options} for step, options in ops.items()}}
    with pytest.raises(dg.DagsterInvalidConfigError) as caught:
        dg.validate_run_config(job, given)
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert capsys.readouterr().err.startswith(f"Error: {sentence}")


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
    job = build_defs().resolve_job_def("full_run")
    run_config = {"ops": {"din_model": {"config": options}}}
    if says is None:
        refresh_config.check(run_config, job)
        assert training.DinModelConfig(**options).model_dump() | options == (
            training.DinModelConfig().model_dump() | options
        )
    else:
        with pytest.raises(DinError, match=says):
            refresh_config.check(run_config, job)
