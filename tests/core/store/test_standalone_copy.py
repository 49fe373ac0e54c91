"""The published file needs no other file, and a sample of the users says that it is one."""

import pytest

from din_core import store
from din_core.store import sql_files


def parquet_view(con, folder, name, select, columns="*"):
    """Make a relation as an engine leaves it: Parquet in folders by user, and a view over it."""
    con.execute(
        f"copy (select *, user_idx % 2 as user_bucket from ({select})) "
        f"to {sql_files.literal(str(folder / name))} (format parquet, partition_by user_bucket)"
    )
    files = sql_files.literal(str(folder / name / "**" / "*.parquet"))
    con.execute(f"create view {name} as select {columns} from read_parquet({files})")


@pytest.fixture
def pipeline(tmp_path):
    """Users 1 ... 6 with ids 10 ... 60; user n has n events, all of them with item 1 or 2."""
    path = tmp_path / "pipeline.duckdb"
    folder = tmp_path / "tables"
    folder.mkdir()
    with store.connect(path) as con:
        con.execute("create table users as select range as user_idx, range * 10 as user_id "
                    "from range(1, 7)")  # fmt: skip
        con.execute("create table items as select range as item_idx from range(1, 3)")
        parquet_view(
            con,
            folder,
            "events",
            "select user_idx, unnest(range(1, user_idx + 1)) as position, "
            "position % 2 + 1 as item_idx from users",
            "user_idx, position, item_idx",
        )
        con.execute(
            # User 70 is not in `users`: too few interactions.
            "create table interactions as select user_id, item_idx as item_id "
            "from events inner join users using (user_idx) union all select 70, 1"
        )
        # Made out of order, and one by way of another.
        con.execute("create view samples as select user_idx, position from events")
        con.execute("create view per_item as select item_idx, count(*) as n from events group by 1")
        con.execute("create view busiest as select item_idx from per_item order by n desc limit 1")
        con.execute("create view item_list (item) as select item_idx from items")
        con.execute("create or replace view per_item as "
                    "with of_items as (select item_idx from samples inner join events "
                    "using (user_idx, position)) "
                    "select item_idx, count(*) as n from of_items group by item_idx")  # fmt: skip
        con.execute("comment on view events is 'What happened.'")
        con.execute("comment on column events.position is 'Place.'")
        con.execute("comment on view per_item is 'Counts.'")
    return path


def published(pipeline, **options):
    target = pipeline.with_name("warehouse.duckdb")
    contents = store.publish(pipeline, target, **options)
    return target, contents


def query(path, sql):
    with store.connect(path, read_only=True) as con:
        return con.execute(sql).fetchall()


def comments(path):
    return dict(
        query(
            path,
            "select table_name, comment from duckdb_tables() union all "
            "select view_name, comment from duckdb_views() where not internal",
        )
    )


def test_tables_in_files_are_copied_and_views_over_them_stay_views(pipeline, tmp_path):
    target, contents = published(pipeline)
    (tmp_path / "tables").rename(tmp_path / "gone")
    pipeline.rename(tmp_path / "gone.duckdb")

    with store.connect(target, read_only=True) as con:
        assert store.relations(con) == {
            "users": "table", "items": "table", "events": "table", "interactions": "table",
            "samples": "view", "per_item": "view", "busiest": "view", "item_list": "view",
        }  # fmt: skip
        assert list(store.column_types(con, "events")) == ["user_idx", "position", "item_idx"]
    assert query(target, "select count(*), sum(position) from events") == [(21, 56)]
    # Positions 1, 3 and 5 are of item 2: users 1 ... 6 have 1, 1, 2, 2, 3, 3 of them.
    assert query(target, "from per_item order by 1") == [(1, 9), (2, 12)]
    assert query(target, "from busiest") == [(2,)]
    assert query(target, "select item from item_list order by 1") == [(1,), (2,)]
    assert comments(target)["events"] == "What happened."
    assert query(target, "select comment from duckdb_columns() where comment is not null") == [
        ("Place.",)
    ]
    assert (contents.every_nth_user, contents.sampled, contents.computed_on_whole) == (1, {}, [])


def test_a_sample_holds_all_rows_of_every_nth_user_and_counts_of_the_whole(pipeline):
    target, contents = published(pipeline, every_nth_user=3)

    # Users 1 and 4, with their 1 and 4 events.
    assert query(target, "select user_idx, count(*) from events group by 1 order by 1") == [
        (1, 1),
        (4, 4),
    ]
    assert query(target, "from users order by 1") == [(1, 10), (4, 40)]
    assert query(target, "select user_id, count(*) from interactions group by 1 order by 1") == [
        (10, 1),
        (40, 4),
    ]
    assert query(target, "select count(*) from samples") == [(5,)]
    assert query(target, "select count(*) from items") == [(2,)]
    assert query(target, "from per_item order by 1") == [(1, 9), (2, 12)]
    assert query(target, "from busiest") == [(2,)]
    with store.connect(target, read_only=True) as con:
        kinds = store.relations(con)
    assert [kinds[name] for name in ("samples", "item_list", "per_item", "busiest")] == [
        "view", "view", "table", "table",
    ]  # fmt: skip
    assert contents.every_nth_user == 3
    assert contents.sampled == {"events": (5, 21), "interactions": (5, 22), "users": (2, 6)}
    assert contents.computed_on_whole == ["busiest", "per_item"]


def test_comments_of_a_sample_tell_what_is_one_and_what_is_not(pipeline):
    told = comments(published(pipeline, every_nth_user=3)[0])

    assert told["events"] == (
        "What happened. A SAMPLE: the rows of 1 in 3 users (those with user_idx % 3 = 1), 5 of 21. "
        "A user's rows are all there or not at all."
    )
    assert told["interactions"].endswith("Rows of users that are not in users are left out.")
    assert told["samples"] == "Over a SAMPLE: 1 in 3 users (those with user_idx % 3 = 1)."
    assert told["per_item"] == (
        "Counts. Computed on all users, not on the sample that the tables with users hold."
    )
    assert (told["items"], told["item_list"]) == (None, None)


def test_the_largest_table_with_users_decides_how_many_are_skipped(pipeline):
    with store.connect(pipeline) as con:
        # 22 interactions are the largest.
        assert [store.every_nth_user_of(con, rows) for rows in (22, 21, 11, 7, 1)] == [
            1, 2, 2, 4, 22,
        ]  # fmt: skip
        # A table without users is not made smaller by leaving users out.
        con.execute("create table wide as select range as item_idx from range(1000)")
        assert store.every_nth_user_of(con, 22) == 1


def test_more_users_skipped_than_there_are_leaves_the_first(pipeline):
    target, _ = published(pipeline, every_nth_user=100)
    assert query(target, "select user_idx, position from events") == [(1, 1)]


def test_a_view_that_cannot_stand_alone_is_refused(pipeline, tmp_path):
    files = sql_files.quote(str(tmp_path / "tables" / "events" / "**" / "*.parquet"))
    with store.connect(pipeline) as con:
        # No function is called here: the file is named where a table is.
        con.execute(f"create view straight as select user_idx from {files}")
    with pytest.raises(store.StoreError, match=r"the view straight reads files.*not published"):
        published(pipeline)
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_a_file_that_is_gone_leaves_the_published_one(pipeline, tmp_path):
    target, _ = published(pipeline)
    next((tmp_path / "tables" / "events").rglob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(store.StoreError, match=r"not replaced.*\.parquet"):
        published(pipeline)
    assert query(target, "select count(*) from events") == [(21,)]
