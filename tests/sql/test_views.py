"""How the analysts' views follow what there is: tables, attributes, names, and types of ids."""

import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.sources.reserved_names import is_reserved
from din_core.store import sql_files
from din_core.tables import analytics, checks, sequences
from tests.sql.analysts_tables import AT, create_interactions, create_scored_views, rows_of


def test_views_are_made_of_what_exists_and_dropped_with_it(con):
    source, choices = SourceConfig(path=""), SequenceConfig()
    create_interactions(
        con,
        ("user_id", "item_id", "time", "cate_id"),
        [(1, 7, 1, 5), (1, 8, 2, 5), (1, 7, 3, 5), (2, 9, 1, None), (2, 7, 2, 5)],
    )
    sequences.build(con, source, choices, in_ids=True)
    context = sequences.template_context(con, source, choices)
    made = analytics.create_views(con, context)
    absent = {
        "rejected_summary", "predictions", "prediction_quality", "calibration", "current_metrics",
        "metrics_by_slice", "ablation_summary",
    }  # fmt: skip
    assert set(analytics.inputs()) - set(made) == absent
    # Item 9 has no category: a history shows that as NULL.
    assert rows_of(
        con, "select target_cate_id, hist_cate_id from samples where user_id = 2 and label"
    ) == [(5, [None])]

    con.execute("create table rejected_rows (file varchar, line int, reason varchar, raw varchar)")
    assert "rejected_summary" in analytics.create_views(con, context)
    con.execute("drop table rejected_rows")
    assert "rejected_summary" not in analytics.create_views(con, context)
    assert rows_of(con, "select * from duckdb_views() where view_name = 'rejected_summary'") == []


def test_integer_ids_join_by_name_with_what_they_name(con):
    # Ids are not indices: user 2 has the index 1, user 1 is not there, item 5 has the index 1.
    create_interactions(
        con,
        ("user_id", "item_id", "time", "cate_id", "age"),
        [(2, 6, 1, 9, 30), (2, 5, 2, 7, 30), (3, 5, 1, 7, 40), (3, 6, 2, 9, 40)],
    )
    source = SourceConfig(path="", user_attribute_cols=("age",))
    choices = SequenceConfig(negatives_per_positive=0)
    create_scored_views(con, source, choices)
    assert rows_of(
        con,
        "select user_id, users.user_idx, target_item_id, items.item_idx, target_cate_id, "
        "cates.cate_idx, hist_item_id, hist_cate_id, interactions.time "
        "from samples inner join users using (user_id) "
        "inner join items on target_item_id = item_id "
        "inner join cates on target_cate_id = cate_id "
        "inner join interactions on samples.user_id = interactions.user_id "
        "and samples.target_item_id = interactions.item_id order by user_id",
    ) == [(2, 1, 5, 1, 7, 1, [6], [9], 2), (3, 2, 6, 2, 9, 2, [5], [7], 2)]
    assert rows_of(
        con, "select user_id, users.user_idx from predictions join users using (user_id) order by 1"
    ) == [(2, 1), (3, 2)]
    assert rows_of(
        con,
        "select user_id, target_item_idx, label from test_predictions join users using (user_idx) "
        "order by 1",
    ) == [(2, 1, 1), (3, 2, 1)]


def test_no_relation_mixes_ids_with_indices_under_one_name(con):
    create_interactions(
        con,
        ("user_id", "item_id", "time", "cate_id"),
        [("u1", "i1", 1, "c1"), ("u1", "i2", 2, "c2"), ("u2", "i1", 3, "c1")],
    )
    source, choices = SourceConfig(path=""), SequenceConfig()
    create_scored_views(con, source, choices)
    # Ids of this log are texts, indices are integers.
    columns = rows_of(
        con,
        "select table_name, column_name, data_type from duckdb_columns() "
        "where not internal and (column_name like '%\\_id' escape '\\' "
        "or column_name like '%\\_idx' escape '\\')",
    )
    assert {name for name, *_ in columns} >= {"samples", "encoded_samples", "test_predictions"}
    for table, column, kind in columns:
        is_text = kind.startswith("VARCHAR")
        assert is_text == column.endswith("_id"), (table, column, kind)


def test_what_an_earlier_version_made_is_not_published_as_if_it_were_new(con):
    source, choices = SourceConfig(path=""), SequenceConfig()
    create_interactions(con, ("user_id", "item_id", "time", "cate_id"), [(1, 7, 1, 5)])
    sequences.build(con, source, choices, in_ids=True)
    con.execute("create table old_sequences as select 1 as user_idx")
    con.execute("create view old_samples as select * from old_sequences")
    kept = {*store.relations(con)} - {"old_sequences", "old_samples"}
    analytics.create_views(con, sequences.template_context(con, source, choices))
    assert {*store.relations(con)} == kept | {
        "cate_mix", "history_lengths", "item_popularity", "split_summary", "user_activity",
    }  # fmt: skip


def test_outdated_input_is_named_with_the_way_out(con):
    source, choices = SourceConfig(path=""), SequenceConfig()
    create_interactions(con, ("user_id", "item_id", "time", "cate_id"), [(1, 7, 1, 5)])
    sequences.build(con, source, choices, in_ids=True)
    context = sequences.template_context(con, source, choices)
    # As if `encoded_samples` were still the view of another version.
    con.execute("create or replace view encoded_samples as select user_idx as user_id from events")
    with pytest.raises(analytics.AnalyticsError, match=r"does not fit.*materialize .*samples"):
        analytics.create_views(con, context)


@pytest.mark.parametrize("item_attributes", [(), ("brand",), ("cate_id", "brand")])
def test_views_follow_the_attributes_of_the_source(con, item_attributes):
    # user_activity has a column `interactions` of its own: in all views the attribute steps aside.
    source = SourceConfig(
        path="", item_attribute_cols=item_attributes, user_attribute_cols=("age", "interactions")
    )
    create_interactions(
        con,
        ("user_id", "item_id", "time", "cate_id", "brand", "age", "interactions"),
        [
            (30, 7, 1, 5, "x", "old", "many"),
            (30, 8, 2, 6, None, "old", "many"),
            (30, 7, 3, 5, "x", "old", "many"),
            (4, 9, 1, 5, "y", None, "few"),
            (4, 8, 2, 6, None, None, "few"),
        ],
    )
    choices = SequenceConfig(max_history=1)
    create_scored_views(con, source, choices)

    values = {7: {"cate_id": 5, "brand": "x"}, 8: {"cate_id": 6, "brand": None}}
    answer = con.execute("from samples where split = 'test' and label and user_id = 30")
    names = [column[0] for column in answer.description]
    found = dict(zip(names, answer.fetchall()[0], strict=True))
    assert found == {
        "split": "test",
        "label": 1,
        "user_id": 30,
        "target_item_id": 7,
        **{f"target_{name}": values[7][name] for name in item_attributes},
        "hist_item_id": [8],
        **{f"hist_{name}": [values[8][name]] for name in item_attributes},
        "age": "old",
        "interactions_attribute": "many",
        "history_length": 1,
        "position": 3,
        "time": AT[3],
    }
    assert rows_of(
        con,
        "select user_id, age, interactions_attribute, interactions, repeat_interactions "
        "from user_activity order by user_id",
    ) == [(4, None, "few", 2, 0), (30, "old", "many", 3, 1)]
    seen = [f"{name.removesuffix('_id')}_in_history" for name in item_attributes]
    assert rows_of(
        con,
        f"select {', '.join([*seen, 'item_in_history'])} from predictions "
        "where label and user_id = 30",
    ) == [(0,) * (len(seen) + 1)]
    has_mix = rows_of(con, "select count(*) from duckdb_views() where view_name = 'cate_mix'")
    assert has_mix == [(1 if item_attributes else 0,)]


@pytest.mark.parametrize(
    ("item_attributes", "user_attributes"),
    [
        (
            ("preference", "select", "distinct_item", "rank", "rank_attribute"),
            ("it's", "a b", "distinct_items", "share"),
        ),
        (
            ("cate_id", "whole", "examples"),
            (
                "distinct_cates",
                "cates",
                "interactions",
                "interactions_attribute",
                "users",
                "events",
            ),
        ),
    ],
)
def test_attributes_may_have_names_of_the_queries_themselves(con, item_attributes, user_attributes):
    source = SourceConfig(
        path="", item_attribute_cols=item_attributes, user_attribute_cols=user_attributes
    )
    values = {
        name: f"value {number}" for number, name in enumerate((*item_attributes, *user_attributes))
    }
    create_interactions(
        con,
        ("user_id", "item_id", "time", *map(sql_files.quote, values)),
        [("u1", item, second, *values.values()) for second, item in enumerate(["i1", "i2", "i1"])],
    )
    create_scored_views(con, source, SequenceConfig())

    answer = con.execute("from samples where position = 3")
    names = [column[0] for column in answer.description]
    sample = dict(zip(names, answer.fetchall()[0], strict=True))
    for name in item_attributes:
        assert sample[f"target_{name}"] == values[name]
        assert sample[f"hist_{name}"] == [values[name]] * 2
    shown = [*sample.values()][5 + 2 * len(item_attributes) :][: len(user_attributes)]
    assert shown == [values[name] for name in user_attributes]
    for view, shown in (("user_activity", user_attributes), ("item_popularity", item_attributes)):
        first = rows_of(con, f"from {view}")[0]
        # Between the id and the view's own columns, in the order of the options.
        assert first[1 : 1 + len(shown)] == tuple(values[name] for name in shown)


def own_columns(con):
    """Columns that views have whatever the source's attributes are, but those that are refused."""
    create_interactions(con, ("user_id", "item_id", "time"), [(1, 7, 1), (1, 8, 2)])
    source = SourceConfig(path="", item_attribute_cols=())
    sequences.build(con, source, SequenceConfig(), in_ids=True)
    analytics.create_views(con, sequences.template_context(con, source, SequenceConfig()))
    names = rows_of(
        con,
        "select distinct column_name from duckdb_columns() where not internal "
        "and table_name in ('samples', 'user_activity', 'item_popularity')",
    )
    return sorted({name for (name,) in names if not is_reserved(name)})


def test_attribute_named_as_a_column_of_a_view_steps_aside_in_all_of_them(con):
    names = own_columns(con)
    assert {"rank", "share", "users", "interactions", "last_time", "history_length"} <= set(names)
    of_user = [name.upper() for name in names if name not in ("target_item_id", "hist_item_id")]
    for item_attributes, user_attributes in ((names, ()), ((), of_user)):
        source = SourceConfig(
            path="",
            item_attribute_cols=tuple(item_attributes),
            user_attribute_cols=tuple(user_attributes),
        )
        attributes = [*item_attributes, *user_attributes]
        create_interactions(
            con,
            ("user_id", "item_id", "time", *map(sql_files.quote, attributes)),
            [("u1", item, time, *["x"] * len(attributes)) for item, time in (("a", 1), ("b", 2))],
        )
        sequences.build(con, source, SequenceConfig(), in_ids=True)
        analytics.create_views(con, sequences.template_context(con, source, SequenceConfig()))
        views = ("item_popularity",) if item_attributes else ("samples", "user_activity")
        for view in views:
            columns = [row[0].lower() for row in rows_of(con, f"describe {view}")]
            assert {f"{name.lower()}_attribute" for name in attributes} <= set(columns)
            assert len(set(columns)) == len(columns)


@pytest.mark.parametrize("unit", [10**3, 10**6], ids=["milliseconds", "microseconds"])
def test_times_that_are_no_seconds_warn_and_every_view_can_be_read(con, unit):
    source = SourceConfig(path="", item_attribute_cols=())
    create_interactions(
        con,
        ("user_id", "item_id", "time"),
        [("u1", item, (1_700_000_000 + hour * 3600) * unit) for hour, item in enumerate("aba")],
    )
    sequences.build(con, source, SequenceConfig())
    context = sequences.template_context(con, source, SequenceConfig())
    found = checks.run_check(con, "events_times_plausible", context)
    assert (found.passed, found.severity, found.examples[0]["events"]) == (False, "warn", 3)
    for view in analytics.create_views(con, context):
        assert rows_of(con, f"from {view}") or view == "rejected_summary"
