"""Loads of a log, one after the other: what is told of its files, and whose ids are known."""

from __future__ import annotations

import gzip
import json

import pytest

from din_core import sources, store
from din_core.config import SequenceConfig, SourceConfig
from din_core.store import ledger
from din_core.tables import known_ids, loads, sequences

SEQUENCES = SequenceConfig()


def write(folder, name, *rows):
    text = "\n".join(["user_id,item_id,time,cate_id", *rows]) + "\n"
    (folder / name).write_text(text)


def load(con, path, *, vocabularies="auto", same_source=True):
    """Read a source as the asset does, and number its ids."""
    source = SourceConfig(path=str(path))
    before = ledger.entries(con).get("interactions")
    with store.transaction(con):
        report = sources.ingest(con, source)
        taken = loads.take(
            con,
            report.source.read_files,
            content=report.source.sha256,
            content_before=before and before.inputs["source"],
            same_source=same_source,
            vocabularies=vocabularies,
        )
        ledger.record(
            con,
            ledger.Entry(
                asset="interactions",
                data_version="",
                code_version="",
                options={},
                inputs={"source": report.source.sha256, known_ids.LOAD: str(taken.number)},
            ),
        )
    with store.transaction(con):
        sequences.build_table(con, "known_ids", source, SEQUENCES)
    return taken


def users(con):
    rows = con.execute("select value, idx from known_ids where vocabulary = 'user'").fetchall()
    return dict(rows)


def files(con):
    columns = "file, rows, rejected_rows, first_time, last_time, load"
    return con.execute(f"select {columns} from source_files order by file").fetchall()


def test_files_that_land_by_day_are_each_told_with_their_load(con, tmp_path):
    write(tmp_path, "2024-01-02.csv", "u5,i1,20,1", "u5,i2,25,1", "u5,,26,1")
    first = load(con, tmp_path / "*.csv")
    assert (first.number, first.notes, first.warnings) == (1, (), ())
    write(tmp_path, "2024-01-03.csv", "u1,i1,30,1")
    second = load(con, tmp_path / "*.csv")
    assert second.notes == ("files that are new: 2024-01-03.csv",)
    assert second.sentence == "load 2 of this log: known ids keep their indices"
    # A file that comes late.
    write(tmp_path, "2024-01-01.csv", "u0,i1,10,1", "u9,i1,11,1")
    assert load(con, tmp_path / "*.csv").number == 3
    assert files(con) == [
        ("2024-01-01.csv", 2, 0, 10, 11, 3),
        ("2024-01-02.csv", 2, 1, 20, 25, 1),
        ("2024-01-03.csv", 1, 0, 30, 30, 2),
    ]
    assert users(con) == {"u5": 1, "u1": 2, "u0": 3, "u9": 4}
    brought = "select value, file from known_ids join source_files using (load) where idx > 2"
    assert con.execute(f"{brought} and vocabulary = 'user' order by idx").fetchall() == [
        ("u0", "2024-01-01.csv"),
        ("u9", "2024-01-01.csv"),
    ]


def test_reading_the_same_content_again_is_no_load(con, tmp_path):
    write(tmp_path, "a.csv", "u1,i1,1,1")
    load(con, tmp_path / "a.csv")
    again = load(con, tmp_path / "a.csv")
    assert (again.number, again.warnings) == (1, ())
    assert users(con) == {"u1": 1}


def test_content_that_was_read_before_loads_were_counted_is_the_first_load(con, tmp_path):
    write(tmp_path, "a.csv", "u1,i1,1,1")
    load(con, tmp_path / "a.csv")
    con.execute("drop table source_files")
    known_ids.forget(con)
    uncounted = json.dumps({"source": ledger.entries(con)["interactions"].inputs["source"]})
    con.execute("update ledger set inputs = $1 where asset = 'interactions'", [uncounted])
    again = load(con, tmp_path / "a.csv")
    assert again.number == 1
    assert con.execute("select distinct load from known_ids").fetchall() == [(1,)]
    assert files(con)[0][-1] == 1


def test_same_content_is_the_same_log_though_no_file_of_it_was_kept(con, tmp_path):
    write(tmp_path, "a.csv", "u1,i1,1,1")
    load(con, tmp_path / "a.csv")
    con.execute("drop table source_files")
    write(tmp_path, "z.csv", "u1,i1,1,1")
    again = load(con, tmp_path / "z.csv", same_source=False)
    assert (again.number, again.starts_anew) == (1, False)


def test_forgotten_ids_count_as_never_made(con, tmp_path):
    write(tmp_path, "a.csv", "u1,i1,1,1")
    load(con, tmp_path / "a.csv")
    ledger.record(
        con,
        ledger.Entry(asset="known_ids", data_version="v", code_version="c", options={}, inputs={}),
    )
    assert known_ids.forget(con) == 3  # a user, an item and a category
    assert "known_ids" not in ledger.entries(con)
    assert "known_ids" not in store.relations(con)
    assert known_ids.forget(con) == 0


def test_corrected_file_and_missing_file_are_named(con, tmp_path):
    for day in (1, 2, 3):
        write(tmp_path, f"{day}.csv", f"u{9 - day},i1,{day},1")
    load(con, tmp_path / "*.csv")
    write(tmp_path, "2.csv", "u0,i1,2,1")
    (tmp_path / "3.csv").unlink()
    taken = load(con, tmp_path / "*.csv")
    corrected, gone = taken.warnings
    assert corrected.startswith("2.csv was changed since load 1 read it")
    assert gone.startswith("3.csv, which load 1 read, is gone")
    assert [row[0::5] for row in files(con)] == [("1.csv", 1), ("2.csv", 2)]
    assert users(con) == {"u6": 1, "u7": 2, "u8": 3, "u0": 4}
    # The number of a load is not given twice, though no file of it is left.
    (tmp_path / "2.csv").unlink()
    load(con, tmp_path / "*.csv")
    write(tmp_path, "4.csv", "u1,i1,4,1")
    assert load(con, tmp_path / "*.csv").number == 4


def test_file_that_grew_is_no_correction_and_a_changed_row_in_it_is(con, tmp_path):
    write(tmp_path, "log.csv", "u5,i1,1,1", "u6,i1,2,1")
    load(con, tmp_path / "log.csv")
    write(tmp_path, "log.csv", "u5,i1,1,1", "u6,i1,2,1", "u1,i1,3,1")
    grown = load(con, tmp_path / "log.csv")
    assert grown.warnings == ()
    assert grown.notes == ("files that grew, what was read before unchanged: log.csv",)
    write(tmp_path, "log.csv", "u5,i1,1,1", "u7,i1,2,1", "u1,i1,3,1", "u1,i1,4,1")
    assert "log.csv was changed" in load(con, tmp_path / "log.csv").warnings[0]


def test_last_line_that_goes_on_in_the_next_load_was_changed(con, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,time,cate_id\nu5,i1,1,1")
    load(con, path)
    path.write_text("user_id,item_id,time,cate_id\nu5,i1,1,10")
    cut_off = load(con, path, same_source=False)  # the same file in another folder
    assert cut_off.notes == ()
    assert "log.csv was changed since load 1" in cut_off.warnings[0]
    assert not cut_off.starts_anew
    path.write_text("user_id,item_id,time,cate_id\nu5,i1,1,10\nu5,i1,2,1")
    assert load(con, path).notes == ("files that grew, what was read before unchanged: log.csv",)


def test_compressed_file_with_other_content_counts_as_changed(con, tmp_path):
    for number in (1, 2):
        rows = "".join(f"u{user},i1,{user},1\n" for user in range(number))
        (tmp_path / "log.csv.gz").write_bytes(
            gzip.compress(f"user_id,item_id,time,cate_id\n{rows}".encode(), mtime=0)
        )
        taken = load(con, tmp_path / "log.csv.gz")
    assert "log.csv.gz was changed since load 1" in taken.warnings[0]


def test_one_content_under_two_names_is_told_and_an_empty_day_is_not(con, tmp_path):
    write(tmp_path, "a.csv", "u1,i1,1,1")
    write(tmp_path, "b.csv", "u1,i1,1,1")
    write(tmp_path, "c.csv")
    write(tmp_path, "d.csv")
    [said] = load(con, tmp_path / "*.csv").warnings
    assert said.startswith(
        "b.csv has the very content of a.csv, so each of these rows counts twice"
    )


def test_another_log_starts_anew_and_keep_goes_on(con, tmp_path):
    write(tmp_path, "one.csv", "u5,i1,1,1")
    write(tmp_path, "two.csv", "u1,i1,1,1", "u5,i1,2,1")
    load(con, tmp_path / "one.csv")
    kept = load(con, tmp_path / "two.csv", same_source=False, vocabularies="keep")
    assert (kept.number, kept.starts_anew, users(con)) == (2, False, {"u5": 1, "u1": 2})
    write(tmp_path, "three.csv", "u0,i1,1,1", "u5,i1,2,1")
    anew = load(con, tmp_path / "three.csv", same_source=False)
    assert (anew.number, anew.starts_anew, anew.warnings) == (1, True, ())
    assert "this is another log than before: 4 known ids are forgotten" in anew.sentence
    assert users(con) == {"u0": 1, "u5": 2}
    assert files(con)[0][-1] == 1


@pytest.mark.parametrize("later", ["moved", "exported anew", "one of several"])
def test_log_under_another_name_that_holds_what_was_read_is_the_same_log(con, tmp_path, later):
    write(tmp_path, "monday.csv", "u5,i1,1,1")
    load(con, tmp_path / "monday.csv")
    path = tmp_path / "tuesday.csv"
    if later == "moved":
        (tmp_path / "monday.csv").rename(path)
    elif later == "exported anew":
        write(tmp_path, "tuesday.csv", "u5,i1,1,1", "u1,i1,2,1")
    else:
        write(tmp_path, "tuesday.csv", "u1,i1,2,1")
        path = tmp_path / "*.csv"
    taken = load(con, path, same_source=False)
    assert (taken.starts_anew, taken.warnings) == (False, ())
    assert users(con)["u5"] == 1


def test_vocabularies_anew_numbers_each_reading_in_the_order_of_the_ids(con, tmp_path):
    write(tmp_path, "log.csv", "u5,i1,1,1")
    load(con, tmp_path / "log.csv", vocabularies="anew")
    write(tmp_path, "log.csv", "u5,i1,1,1", "u1,i1,2,1")
    taken = load(con, tmp_path / "log.csv", vocabularies="anew")
    assert taken.sentence.startswith("vocabularies is 'anew': 3 known ids are forgotten")
    assert users(con) == {"u1": 1, "u5": 2}


def test_load_that_fails_leaves_ids_and_files_as_they_were(con, tmp_path):
    write(tmp_path, "log.csv", "u5,i1,1,1")
    load(con, tmp_path / "log.csv")
    before = con.execute("from known_ids").fetchall(), con.execute("from source_files").fetchall()
    con.execute("begin")
    known_ids.forget(con)
    con.execute("rollback")
    write(tmp_path, "bad.csv", "u5,i1,yesterday,1")
    with pytest.raises(sources.SourceError):
        load(con, tmp_path / "bad.csv", same_source=False)
    assert before == (
        con.execute("from known_ids").fetchall(),
        con.execute("from source_files").fetchall(),
    )
