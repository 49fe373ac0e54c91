"""Options say once what they are: described, bounded, and refused by name, value and range."""

import dataclasses
import importlib
import math
import pkgutil
from typing import Literal

import pytest

from din_core import config
from din_core.config import described_options, validate
from din_core.config.kinds import Bounds
from din_core.config.options import config_class, option

CLASSES = [
    config.SourceConfig, config.GrowthConfig, config.SequenceConfig, *config.MODEL_CONFIGS.values(),
    config.TrainingConfig, config.SyntheticConfig, config.EvaluationConfig, config.RankingConfig,
    config.BaseModelEvidenceConfig, config.AblationConfig, config.ExplanationConfig,
    config.PublishingConfig, config.WarehouseConfig, config.LaunchConfig,
]  # fmt: skip
OPTIONS = [(cls, each) for cls in CLASSES for each in described_options(cls).values()]
NUMBERS = [(cls, each) for cls, each in OPTIONS if each.numbers]


def names(pairs):
    return [f"{cls.__name__}.{each.name}" for cls, each in pairs]


def chosen(cls, **values):
    """A configuration with defaults but for some values."""
    return cls(**({"path": "log.csv"} if cls is config.SourceConfig else {}) | values)


def outside(each):
    """Numbers just outside an option's range, and those that no range holds."""
    bounds, step = each.bounds, 1 if each.kind is int else 1e-9
    found = [float("nan"), math.inf]
    found += [] if bounds.ge is None else [bounds.ge - step]
    found += [] if bounds.gt is None else [bounds.gt]
    found += [] if bounds.le is None else [bounds.le + step]
    found += [] if bounds.lt is None else [bounds.lt]
    return [value if each.kind in (int, float) else (value,) for value in found]


def test_every_class_of_the_package_is_looked_at():
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.iter_modules(config.__path__, f"{config.__name__}.")
    ]
    made = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    abstract = {config.ModelConfig, config.MLPModelConfig}
    assert {cls for cls in made if cls.__name__.endswith("Config")} == {*CLASSES, *abstract}


@pytest.mark.parametrize(("cls", "each"), OPTIONS, ids=names(OPTIONS))
def test_every_option_is_described_in_the_help_of_its_class(cls, each):
    assert each.description.endswith(".")
    assert each.description[0].isupper() or each.description[0] in "'0123456789"
    words = " ".join(cls.__doc__.split())
    assert f"{each.name}: {each.text}" in words


@pytest.mark.parametrize(("cls", "each"), NUMBERS, ids=names(NUMBERS))
def test_every_number_has_a_range_that_its_default_lies_in(cls, each):
    assert each.bounds != Bounds()
    assert each.text != each.description
    validate(chosen(cls))


@pytest.mark.parametrize(("cls", "each"), NUMBERS, ids=names(NUMBERS))
def test_a_number_outside_its_range_is_refused_by_name_value_and_range(cls, each):
    for value in outside(each):
        with pytest.raises(config.OptionsError) as caught:
            validate(chosen(cls, **{each.name: value}))
        way_out = f"; the default is {each.default!r}"
        assert str(caught.value) == f"{each.name} is {value!r}, must be {each.allowed()}{way_out}"


YAML = "YAML reads it as another type:"
QUOTES = "YAML reads a bare yes, no, on or off as true or false: put it in quotes"
MINUTES = "a list of 1 or more integers, each of at least 1"


@config_class
class Dish:
    """What is cooked."""

    kind: Literal["soup", "pasta"] = option("soup", "The dish.")
    salted: bool = option(True, "Whether there is salt in it.")
    name: str | None = option(None, "What the card says.")
    spoons: int = option(2, "Spoons of it.", ge=1, lt=9)
    litres: float = option(0.5, "How much.", gt=0, le=3)
    share: float = option(0.0, "Of it.", ge=0, lt=1)
    minutes: tuple[int, ...] = option((5,), "Of each step.", ge=1, min_length=1)
    spices: tuple[str, ...] = option((), "What else is in it.")

    def contradiction(self):
        return "soup needs 2 spoons or more" if self.kind == "soup" and self.spoons < 2 else None


@pytest.mark.parametrize(
    ("name", "value", "allowed", "way_out"),
    [
        ("kind", "sup", "one of 'soup', 'pasta'", "is 'soup' meant?"),
        ("kind", 3, "one of 'soup', 'pasta'", "the default is 'soup'"),
        ("salted", 1, "true or false", "the default is True"),
        ("name", 7, "text or None", f"{YAML} write '7'"),
        ("name", False, "text or None", QUOTES),
        ("spices", [True], "a list of texts", QUOTES),
        ("spices", "salt", "a list of texts", "write ['salt']"),
        ("spoons", 9, "an integer from 1 to 8", "the default is 2"),
        ("spoons", 2.0, "an integer from 1 to 8", "the default is 2"),
        ("spoons", True, "an integer from 1 to 8", "the default is 2"),
        ("spoons", "3", "an integer from 1 to 8", f"{YAML} write 3"),
        ("spoons", "1e1", "an integer from 1 to 8", "the default is 2"),
        ("spoons", "few", "an integer from 1 to 8", "the default is 2"),
        ("salted", "True", "true or false", f"{YAML} write true"),
        (
            "litres",
            "1e-3",
            "a number above 0 and of at most 3",
            f"{YAML} write 0.001",
        ),
        (
            "litres",
            "2e-7",
            "a number above 0 and of at most 3",
            f"{YAML} write 2.0e-07",
        ),
        ("litres", "nan", "a number above 0 and of at most 3", "the default is 0.5"),
        ("litres", 0, "a number above 0 and of at most 3", "the default is 0.5"),
        ("share", 1, "a number of at least 0 and below 1", "the default is 0.0"),
        ("minutes", (), MINUTES, "the default is (5,)"),
        ("minutes", (3, 0), MINUTES, "the default is (5,)"),
        ("minutes", 3, MINUTES, "write [3]"),
        ("minutes", ["5", 1e1], MINUTES, "the default is (5,)"),
        ("minutes", ["5", "1e1"], MINUTES, f"{YAML} write [5, 10]"),
        (
            "spices",
            [4, "salt"],
            "a list of texts",
            f"{YAML} write ['4', 'salt']",
        ),
    ],
)
def test_what_must_not_be_is_refused_in_a_sentence(name, value, allowed, way_out):
    with pytest.raises(config.OptionsError) as caught:
        validate(Dish(**{name: value}))
    assert str(caught.value) == f"{name} is {value!r}, must be {allowed}; {way_out}"


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(config.OptionsError, match=r"^soup needs 2 spoons or more$"):
        validate(Dish(kind="soup", spoons=1))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "pasta", "spoons": 1},
        {"spoons": 8, "litres": 3, "share": 0},
        {"name": "of the day", "minutes": [5, 10], "spices": ("salt",)},
    ],
)
def test_what_may_be_is_taken(values):
    validate(Dish(**values))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (config.SequenceConfig(split="temporel"), "is 'temporal' meant"),
        (config.SequenceConfig(split="temporal", val_from=0.9, test_from=0.8), "must not be the l"),
        (config.SequenceConfig(split="temporal", val_from=0.8, test_from=100), "both in seconds"),
        (config.SyntheticConfig(n_cates=1001), "n_cates is 1001, must be at most n_items, 1000"),
        (
            config.SyntheticConfig(interests_per_user=4, n_interests=3),
            "n_interests is 3, must be at least interests_per_user, 4",
        ),
        (
            config.SourceConfig(
                path="log.csv",
                item_attribute_cols=tuple(f"i{n}" for n in range(100)),
                user_attribute_cols=tuple(f"u{n}" for n in range(29)),
            ),
            "name 129 columns, and at most 128 are read",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(settings, sentence):
    with pytest.raises(config.OptionsError, match=sentence):
        validate(settings)


@pytest.mark.parametrize(
    ("cls", "beside", "gives_effect", "name", "value"),
    [
        (config.SequenceConfig, {}, {"split": "temporal"}, "val_from", 0.7),
        (config.SequenceConfig, {}, {"split": "temporal"}, "test_from", 0.95),
        (
            config.SourceConfig,
            {"path": "log.csv", "label_col": ""},
            {"label_col": "rating"},
            "positive_labels",
            ("4", "5"),
        ),
        (config.TrainingConfig, {}, {"negatives": "redrawn"}, "redrawn_per_positive", 3),
        (config.TrainingConfig, {}, {"negatives": "auto"}, "redrawn_sampling", "popularity"),
        (
            config.TrainingConfig,
            {},
            {"embedding_l2": 0.1},
            "regularization",
            "mini_batch_aware",
        ),
    ],
)
def test_an_option_that_others_leave_without_effect_is_refused(
    cls, beside, gives_effect, name, value
):
    validate(cls(**{**beside, **gives_effect, name: value}))
    validate(cls(**beside))
    with pytest.raises(config.OptionsError, match=rf"^{name} is .*, but .*leave {name} out$"):
        validate(cls(**{**beside, name: value}))
    # At its default it changes nothing; somebody who wrote it down believes that it does.
    config.refuse_contradiction(cls(**beside))
    with pytest.raises(config.OptionsError, match=rf"^{name} is "):
        config.refuse_contradiction(cls(**beside), typed=[name])


def test_a_field_that_was_not_declared_as_an_option_is_refused():
    @dataclasses.dataclass
    class Bare:
        n: int = 3

    with pytest.raises(TypeError, match=r"Bare\.n: declare it with option"):
        described_options(Bare)
