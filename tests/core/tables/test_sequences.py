"""A configuration becomes a template context, or a sentence that says what is wrong with it."""

import pytest

from din_core.config import SequenceConfig, SourceConfig
from din_core.tables import sequences
from tests import contexts


@pytest.fixture
def con(con):
    con.execute(
        "create table interactions (user_id bigint, item_id bigint, time bigint, "
        "cate_id bigint, brand varchar, cate varchar, age varchar, file varchar, line bigint)"
    )
    return con


def log(con, *rows):
    """Interactions given as (user, item, time)."""
    for line, (user, item, time) in enumerate(rows, start=2):
        con.execute(
            "insert into interactions values (?, ?, ?, 1, 'x', 'y', 'z', 'log.csv', ?)",
            [user, item, time, line],
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_history", 0),
        ("max_history", 2.5),
        ("min_interactions", -1),
        ("negatives_per_positive", -1),
        ("sampling_seed", -1),
        ("sampling_seed", 2**30),
    ],
)
def test_a_field_out_of_range_is_named_with_its_value(con, field, value):
    with pytest.raises(sequences.OptionsError, match=f"{field} is {value}"):
        sequences.template_context(con, SourceConfig(path=""), SequenceConfig(**{field: value}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_attribute_cols": ("cate_id", "cate")}, "index column 'cate_idx'"),
        (
            {"item_attribute_cols": ("item_id",)},
            "item_col and item_attribute_cols name .*'item_id'",
        ),
        ({"item_attribute_cols": ("item_idx",)}, "one of the tables' own columns"),
        ({"item_attribute_cols": ("item",)}, "index column 'item_idx'"),
        ({"user_attribute_cols": ("hist_cate_id",)}, "sample column 'hist_cate_id'"),
        ({"item_attribute_cols": ("n_event",)}, "list column 'n_events'"),
        ({"user_attribute_cols": ("items",)}, "one of the tables' own columns"),
        ({"user_attribute_cols": ("Position",)}, "one of the tables' own columns"),
        ({"item_attribute_cols": ("colour",)}, "no column 'colour'"),
    ],
)
def test_attributes_that_cannot_be_told_apart_are_refused(con, columns, message):
    with pytest.raises(sequences.OptionsError, match=message):
        sequences.template_context(con, SourceConfig(path="", **columns), SequenceConfig())


def test_same_category_needs_a_category(con):
    source = SourceConfig(path="", item_attribute_cols=())
    config = SequenceConfig(negative_sampling="same_category")
    with pytest.raises(sequences.OptionsError, match="item_attribute_cols is empty"):
        sequences.build_table(con, "negatives", source, config)
    # What an earlier run chose for negatives is not the concern of the tables before them.
    sequences.build_table(con, "cates", source, config)


@pytest.mark.parametrize(("field", "value"), [("test_from", 0.9999999), ("val_from", 1e-9)])
def test_a_quantile_too_close_to_an_end_is_refused(con, field, value):
    config = SequenceConfig(
        **{"split": "temporal", "val_from": 0.5, "test_from": 0.6, field: value}
    )
    with pytest.raises(sequences.OptionsError, match=f"{field} is {value}"):
        sequences.template_context(con, SourceConfig(path=""), config)


@pytest.mark.parametrize(("val_from", "test_from"), [(0.9, 0.8), (200, 100), (0.8, 100)])
def test_moments_in_the_wrong_order_or_unit_are_refused(con, val_from, test_from):
    config = SequenceConfig(split="temporal", val_from=val_from, test_from=test_from)
    with pytest.raises(sequences.OptionsError, match=f"val_from is {val_from}"):
        sequences.template_context(con, SourceConfig(path=""), config)


def moments(con, **config):
    context = sequences.template_context(
        con, SourceConfig(path=""), SequenceConfig(split="temporal", **config)
    )
    return context.val_from, context.test_from


def test_quantiles_become_the_seconds_at_which_the_share_has_passed(con):
    log(con, *[(1, 1, 100 * number) for number in range(1, 11)])
    # Train keeps at most half of ten events: those before the sixth.
    assert moments(con, val_from=0.5, test_from=0.8) == (600, 900)


def test_moments_in_seconds_are_taken_as_they_are(con):
    log(con, (1, 1, 100))
    assert moments(con, val_from=50, test_from=70) == (50, 70)


def test_quantiles_are_of_the_users_that_are_kept(con):
    log(con, (1, 1, 100), (1, 2, 200), (1, 3, 300), (2, 1, 9000))
    assert moments(con, val_from=0.5, test_from=0.9, min_interactions=2) == (200, 300)


def test_quantiles_of_an_empty_log_do_not_fail(con):
    assert moments(con, val_from=0.5, test_from=0.9) == (0, 0)


@pytest.mark.parametrize(
    ("sampling", "labelled", "variant"),
    [
        ("uniform", False, "uniform"),
        ("popularity", False, "popularity"),
        ("same_category", False, "same_category"),
        ("popularity", True, "logged"),
    ],
)
def test_the_log_and_the_strategy_choose_the_file(sampling, labelled, variant):
    context = contexts.context(negative_sampling=sampling, labelled=labelled)
    assert sequences.negatives_variant(context) == variant


def test_build_reports_every_table_as_it_is_made(con):
    log(con, (1, 1, 100), (1, 2, 200), (1, 3, 300), (2, 4, 100))
    seen = []
    rows = sequences.build(
        con,
        SourceConfig(path=""),
        SequenceConfig(),
        on_table=lambda name, count: seen.append((name, count)),
    )
    assert rows == dict(seen)
    assert rows == {
        "known_ids": 7,
        "cates": 1,
        "attributes": 1,
        "users": 2,
        "items": 4,
        "events": 4,
        "user_sequences": 2,
        "negatives": 2,
    }
    assert con.execute("select count(*) from encoded_samples").fetchall() == [(4,)]


def test_only_the_samples_look_for_the_moments_of_a_split(con):
    log(con, (1, 1, 100), (1, 2, 200), (1, 3, 300), (1, 4, 400))
    temporal = SequenceConfig(split="temporal", val_from=0.5, test_from=0.75)
    for name in sequences.tables():
        context = sequences.build_table(con, name, SourceConfig(path=""), temporal)
        assert "val_from" not in context.variables()
    context = sequences.build_table(con, "samples", SourceConfig(path=""), temporal)
    assert (context.val_from, context.test_from) == (300, 400)


def test_a_failed_table_leaves_the_one_before(con):
    log(con, (1, 1, 100), (1, 2, 200))
    sequences.build(con, SourceConfig(path=""), SequenceConfig())
    con.execute("alter table interactions rename column line to row")
    with pytest.raises(Exception, match="line"):
        sequences.build(con, SourceConfig(path=""), SequenceConfig())
    assert con.execute("select count(*) from events").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("val_from", "test_from", "advice"),
    [
        (80, 90, "val_from is 80, but .* is 80 per cent meant[?] Write the quantile, 0.8"),
        (1.5e12, 1.55e12, "val_from is 1500000000000.0, .* as milliseconds .* 1500000000"),
        (1_500_000_500, 1_550_000_000_250_000, "test_from .* as microseconds .* 1550000000.25"),
    ],
)
def test_moments_in_another_unit_than_the_log_are_refused(con, val_from, test_from, advice):
    log(con, (1, 1, 1_500_000_000), (1, 2, 1_600_000_000))
    with pytest.raises(sequences.OptionsError, match=advice) as caught:
        moments(con, val_from=val_from, test_from=test_from)
    assert "seconds from 1500000000 (2017-07-14) to 1600000000 (2020-09-13)" in str(caught.value)


def test_moments_of_a_log_that_counts_from_nothing_are_taken_as_they_are(con):
    log(con, (1, 1, 1000), (1, 2, 5000))
    assert moments(con, val_from=80, test_from=2_000_000) == (80, 2_000_000)


@pytest.mark.parametrize(
    ("table", "config", "names"),
    [
        ("negatives", {"negative_sampling": "popularity"}, []),
        (
            "negatives",
            {"negative_sampling": "popularity", "negatives_per_positive": 0},
            ["negative_sampling=popularity"],
        ),
    ],
)
def test_an_option_without_effect_is_said(con, caplog, table, config, names):
    log(con, *[(1, item, item) for item in range(1, 5)])
    sequences.build(con, SourceConfig(path=""), SequenceConfig(**config))
    said = [record.getMessage() for record in caplog.records]
    assert [sentence.split(" has no effect")[0] for sentence in said] == [
        f"{table}: {name}" for name in names
    ]


@pytest.mark.parametrize(
    "wish",
    [{"negative_sampling": "popularity"}, {"negatives_per_positive": 4}, {"sampling_seed": 7}],
)
def test_sampling_is_refused_where_the_negatives_are_logged(con, wish):
    log(con, *[(1, item, item) for item in range(1, 5)])
    con.execute("alter table interactions add column label integer default 1")
    source = SourceConfig(path="")
    sequences.build(con, source, SequenceConfig())
    ((name, value),) = wish.items()
    message = rf"{name}={value} has no effect: the log is labelled.*\(label_col: ''\)"
    with pytest.raises(sequences.OptionsError, match=message):
        sequences.build_table(con, "negatives", source, SequenceConfig(**wish))


@pytest.mark.parametrize("name", ["unifrom", "logged"])
def test_a_sampler_without_a_file_is_refused_with_those_that_have_one(name):
    message = (
        rf"negative_sampling is '{name}', must be one of popularity, .*same_category, .*uniform"
    )
    with pytest.raises(sequences.OptionsError, match=message):
        sequences.negatives_variant(contexts.context(negative_sampling=name))
