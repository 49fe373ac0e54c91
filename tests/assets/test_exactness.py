"""One change at a time: what ``din run`` leaves behind is what a first run would have made.

Tables, views, ledger and files are compared by their content with those of a fresh build: one that
had the same loads, since known ids keep their indices, or one without a past where they were
forgotten. Pictures and exported graphs, which take seconds each, are replaced by something that
depends on the same.

A change and its fresh build are two whole runs. ``make test`` makes one of each kind, which ends as
the first build of the module: ids that were forgotten after a log of another kind with other
options, a file of the store; what rows that only moved leave behind is what lay there. ``make
test-thorough`` makes the others.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from din_assets.command.refresh import refresh
from din_assets.runs import last_run
from din_core import manifests, store
from din_core.store import ledger
from din_core.tables import known_ids
from tests.assets.small_pipeline import write_rows
from tests.assets.stand_ins import stand_in_for_delivery

HEADER = "user_id,item_id,time,cate_id,brand,country"
ROWS = [
    f"u{user},i{item},{100 * step + user},c{item % 4},b{item % 3},l{user % 2}"
    for user in range(8)
    for step, item in enumerate(range(5 * user, 5 * user + 18, 3))
]
FEW = ["u98,i1,7,c1,b1,l0", "u99,i2,8,c2,b2,l1"]  # users below min_interactions
BAD = "u1,i4,yesterday,c0,b1,l1"
CONFIG: dict[str, Any] = {
    "ops": {
        "interactions": {
            "config": {
                "item_attribute_cols": ["cate_id", "brand"],
                "user_attribute_cols": ["country"],
            }
        },
        "known_ids": {"config": {"min_interactions": 2}},
        "negatives": {"config": {"negatives_per_positive": 2}},
        "din_model": {
            "config": {
                "embed_dim": 2, "mlp_dims": [2], "attention_dims": [2], "n_epoch": 1,
                "num_threads": 1, "checkpoint_seconds": 0,
            }
        },
    },
    "loggers": {"console": {"config": {"log_level": "ERROR"}}},
}  # fmt: skip
# What tells of earlier models, too, and of the time.
NOT_OF_ONE_RUN = {
    "ledger", "metrics", "comparisons", "previous_predictions", "model_versions", "publications",
}  # fmt: skip


# When a model was judged, and what its log was called then, is no part of the result.
_FIGURES = "select * exclude (source, evaluated_at)"
_OF_THE_MODEL = """
select * exclude (
    source, judged_at, decision, reason, compared_with, auc_difference, auc_difference_low,
    auc_difference_high, n_compared_samples, artifacts
)
"""

# Compared with the log that was read before, which a first run does not have.
OF_THE_LOG_BEFORE = {"drift", "previous_log_profile"}
# What tells of that, and of the model before; the version of the published copy is one of all.
TELL_OF_BEFORE = {"drift", "report", "warehouse"}
# What holds the number of the load, or a version of what holds it.
TELL_OF_THE_LOAD = {
    "known_ids", "source_files", "model_versions",
    *(f"ledger of {asset}" for asset in (
        "interactions", "rejected_rows", "source_files", "known_ids", "attributes", "users",
        "items", "bundle", "model_versions",
    )),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quick(finished, labelled) -> Iterator[None]:
    """Stand-ins for what takes long and decides nothing here, but for the runs that all share."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in_for_delivery(patch)
        yield


@dataclass
class Place:
    """A log, a configuration, and what was made of them."""

    folder: Path
    instance: dg.DagsterInstance
    config: dict[str, Any]

    @property
    def home(self) -> Path:
        return self.folder / "data"

    @property
    def csv(self) -> Path:
        return self.folder / "log.csv"

    def run(self, until: str | None = None) -> list[str]:
        """Make what changed, all of it or up to an asset; return the assets that were made."""
        run_config = {
            **self.config,
            "resources": {"store": {"config": {"home": str(self.home), "threads": 1}}},
        }
        made: list[str] = []
        decisions = refresh(self.instance, run_config=run_config, named=str(self.csv))
        with contextlib.closing(decisions):
            for decision in decisions:
                made += decision.assets if decision.reasons else ()
                if until in decision.assets:
                    break
        return made

    def content(self) -> dict[str, Any]:
        """Everything that a reader can see of the results, by name."""
        with duckdb.connect(str(self.home / "warehouse.duckdb"), read_only=True) as con:
            names = [row[0] for row in con.execute("show tables").fetchall()]
            made = ledger.entries(con)
            found: dict[str, Any] = {
                name: store.content_version(con, name)
                for name in names
                if name not in NOT_OF_ONE_RUN | OF_THE_LOG_BEFORE
            }
            # Figures of earlier models stay: that is what the table is for.
            current = [made["din_model"].data_version]
            found["metrics"] = con.execute(
                f"{_FIGURES} from metrics where model_version = ? order by all",
                current,
            ).fetchall()
            found["comparisons"] = con.execute(
                f"{_FIGURES} from comparisons where model_version = ? "
                "and rival <> 'previous_model' order by all",
                current,
            ).fetchall()
            # A model's row is of its first judgement, beside what was served and lay there then.
            found["model_versions"] = con.execute(
                f"{_OF_THE_MODEL} from model_versions where bundle_version = ? order by all",
                [made["bundle"].data_version],
            ).fetchall()
            for name in ("known_ids", "source_files"):
                found[f"{name} without loads"] = con.execute(
                    f"select * exclude (load) from {name} order by all"
                ).fetchall()
            found["comments"] = con.execute(
                "select table_name, column_name, comment from duckdb_columns() order by all"
            ).fetchall()
        for asset, entry in made.items():
            if asset in TELL_OF_BEFORE:
                continue
            found[f"ledger of {asset}"] = vars(entry)
            folder = self.home / "artifacts" / (entry.artifact or "none")
            for file in sorted(folder.glob("din.*")) + sorted(folder.glob("*.safetensors")):
                found[f"{asset}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def first(tmp_path_factory, instance) -> Place:
    place = Place(tmp_path_factory.mktemp("first"), instance, copy.deepcopy(CONFIG))
    write_rows(place.csv, *ROWS, *FEW, BAD, header=HEADER)
    place.run()
    return place


@pytest.fixture(scope="module")
def before(first) -> dict[str, Any]:
    """What a reader saw of the first place."""
    return first.content()


@pytest.fixture
def place(first, tmp_path) -> Place:
    """A copy of the first place, to change something in."""
    shutil.copytree(first.folder, tmp_path / "place", symlinks=True)
    moved = Place(tmp_path / "place", first.instance, copy.deepcopy(CONFIG))
    remembered = moved.home / last_run.FILE
    remembered.write_text(remembered.read_text().replace(str(first.csv), str(moved.csv)))
    return moved


#: What a load leaves for the next one; all else is made anew by it.
_LOADED = ("interactions", "rejected_rows", "source_files", "known_ids")


@pytest.fixture
def fresh_build(first, tmp_path, instance) -> Callable[..., dict[str, Any]]:
    """Build in a place that had the same first load, and where nothing else was ever made."""

    def build(changed: Place, *, of_the_load: Sequence[str] = _LOADED) -> dict[str, Any]:
        fresh = Place(tmp_path / f"fresh of {len(of_the_load)}", instance, changed.config)
        (fresh.home).mkdir(parents=True)
        if of_the_load:
            shutil.copy(first.home / "pipeline.duckdb", fresh.home)
            # As if the log, which is the same by name, had lain here all along.
            last_run.write(fresh.home / last_run.FILE, {"interactions": {"path": str(fresh.csv)}})
            with _tables(fresh) as con:
                for name, kind in store.relations(con).items():
                    if name not in {*of_the_load, "ledger"}:
                        con.execute(f"drop {kind} {name}")
                con.execute(f"delete from ledger where asset not in {tuple(of_the_load)}")
        shutil.copy(changed.csv, fresh.csv)
        fresh.run()
        return fresh.content()

    return build


def _append(row: str) -> Callable[[Place], None]:
    return lambda place: place.csv.write_text(f"{place.csv.read_text()}{row}\n") and None


def _replace(before: str, after: str) -> Callable[[Place], None]:
    def edit(place: Place) -> None:
        text = place.csv.read_text()
        assert text.count(before) == 1
        place.csv.write_text(text.replace(before, after))

    return edit


def _shuffle(place: Place) -> None:
    header, *rows = place.csv.read_text().splitlines()
    random.Random(1).shuffle(rows)
    place.csv.write_text("\n".join([header, *rows]) + "\n")


def _label(place: Place) -> None:
    header, *rows = place.csv.read_text().splitlines()
    labelled = [f"{row},{n % 3 > 0:d}" for n, row in enumerate(rows)]
    place.csv.write_text("\n".join([f"{header},label", *labelled]) + "\n")
    place.config["ops"].pop("negatives")  # nothing is sampled now, and asking for it is refused


def _option(step: str, **options: Any) -> Callable[[Place], None]:
    def edit(place: Place) -> None:
        place.config["ops"].setdefault(step, {"config": {}})["config"] |= options

    return edit


CHANGES = {
    "usable row": _append("u1,i3,9999,c3,b0,l1"),
    "rejected row": _append("u1,,9999,c3,b0,l1"),
    "row of a user who is left out": _replace(FEW[0], "u98,i1,7777,c1,b1,l0"),
    "attribute of an item": _replace(ROWS[0], ROWS[0].replace(",b0,", ",b9,")),
    "rows in another order": _shuffle,
    "labels": _label,
    "item_attribute_cols": _option("interactions", item_attribute_cols=["brand"]),
    "user_attribute_cols": _option("interactions", user_attribute_cols=[]),
    "min_interactions": _option("known_ids", min_interactions=1),
    "popularity": _option("negatives", negative_sampling="popularity"),
    "negatives_per_positive": _option("negatives", negatives_per_positive=1),
    "max_history": _option("samples", max_history=2),
    "max_history, beyond every history": _option("samples", max_history=49),
}


#: Changes of `make test-thorough`, and which test of `make test` shows the kind.
MORE_OF_THE_SAME = {
    "usable row": "forgotten ids",  # other rows of known ids; those with new ids are forgotten
    "rejected row": "forgotten ids",  # and test_refresh.py, what is published of it
    "row of a user who is left out": "forgotten ids",
    "attribute of an item": "forgotten ids",
    "rows in another order": "the test of moved rows below",
    "labels": "forgotten ids",  # of a log after one with labels
    # An option by itself makes what it affects, and that is made of it: test_refresh.py.
    "item_attribute_cols": "forgotten ids",
    "user_attribute_cols": "forgotten ids",
    "min_interactions": "forgotten ids",
    "popularity": "forgotten ids",
    "negatives_per_positive": "forgotten ids",
    "max_history": "forgotten ids",
    "max_history, beyond every history": "forgotten ids",  # and test_refresh.py
}


@pytest.mark.thorough
@pytest.mark.parametrize("change", MORE_OF_THE_SAME)
def test_change_ends_as_a_fresh_build(before, place, fresh_build, change):
    CHANGES[change](place)
    assert place.run() != []
    after = place.content()
    assert after != before
    assert after == fresh_build(place)
    assert place.run() == []


#: What tells of the lines of a file, or of the load that read it: with rows moved it is another.
_OF_THE_LINES = {
    "interactions", "rejected_rows", "rejected_summary", "source_files",
    "source_files without loads", "model_versions",
}  # fmt: skip


def test_moved_rows_leave_all_as_it_was_but_what_tells_of_the_file(before, place):
    _shuffle(place)
    assert "samples" in place.run()
    after = place.content()
    assert before.keys() == after.keys()
    differ = {name for name in after if before[name] != after[name]}
    ledgers = {name for name in after if name.startswith("ledger of ")}
    assert differ - ledgers == _OF_THE_LINES
    others = {
        name for name in ledgers if before[name]["data_version"] != after[name]["data_version"]
    }
    assert others == {
        f"ledger of {asset}"
        for asset in ("interactions", "rejected_rows", "source_files", "bundle", "model_versions")
    }
    assert place.run() == []


def _tables(place: Place) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(place.home / "pipeline.duckdb"))


def test_after_forgotten_ids_it_ends_as_a_build_that_never_knew_any(
    first, before, labelled, tmp_path, instance
):
    """What lay there is all of another kind of log: of its columns, its options and its ids."""
    place = Place(tmp_path, instance, copy.deepcopy(CONFIG))
    shutil.copytree(labelled.home, place.home, symlinks=True)
    log = shutil.copy(first.csv, place.csv).read_text()
    # i00 comes before every other item, and c9 between b0 and the rest: all indices would move.
    _append("a0,i00,9999,c00,a0,a0")(place)
    _append("a0,i1,9998,c1,b1,l0")(place)
    assert "items" in place.run(until="items")
    with _tables(place) as con:
        grown = store.content_version(con, "items")
        assert known_ids.forget(con) > 0
    place.csv.write_text(log)
    assert "known_ids" in place.run()
    compact = place.content()
    assert compact["items"] == before["items"] != grown
    # Without any past it is the first load, and no later one; every index is the same.
    assert compact.keys() == before.keys()
    assert {name for name in before if compact[name] != before[name]} == TELL_OF_THE_LOAD


# The test before this one has no past either; here the number of the load is compared as well.
@pytest.mark.thorough
def test_after_forgotten_ids_it_ends_as_a_build_of_the_same_load(place, fresh_build):
    _label(place)  # another kind of log, too
    _append("a0,i00,9999,c00,a0,a0,1")(place)
    _append("a0,i1,9998,c1,b1,l0,0")(place)
    assert "items" in place.run(until="items")
    _option("samples", max_history=2)(place)
    with _tables(place) as con:
        grown = store.content_version(con, "items")
        assert known_ids.forget(con) > 0
    assert "known_ids" in place.run()
    compact = place.content()
    assert compact["items"] != grown
    assert compact == fresh_build(place, of_the_load=[o for o in _LOADED if o != "known_ids"])


def _made_by_other_code(place: Place, asset: str) -> None:
    """Leave an asset as other code would have made it: with other content, also below."""
    with _tables(place) as con:
        con.execute(
            "update ledger set code_version = 'other', data_version = 'other' where asset = ?",
            [asset],
        )
        con.execute(
            "update ledger set inputs = replace(inputs, ?, 'other')",
            [first_version(place, asset)],
        )


def first_version(place: Place, asset: str) -> str:
    with duckdb.connect(str(place.home / "warehouse.duckdb"), read_only=True) as con:
        return ledger.entry(con, asset).data_version


# What was made by other code is made again, and what hangs on new content: test_refresh.py.
@pytest.mark.thorough
@pytest.mark.parametrize(
    "assets",
    # Together and one by one: that the others were made again hides nothing.
    [
        ("attributes", "negatives", "din_model"),
        ("attributes",), ("negatives",), ("din_model",),
    ],
    ids=", ".join,
)  # fmt: skip
def test_asset_made_by_other_code_is_made_again_with_what_hangs_on_it(before, place, assets):
    for asset in assets:
        _made_by_other_code(place, asset)
        if asset != "din_model":
            with _tables(place) as con:
                con.execute(f"delete from {asset} where random() < 0.5")
    made = place.run()
    assert {*assets, "warehouse"} <= set(made)
    assert place.content() == before


def _files_of(place: Place) -> list[Path]:
    return sorted(
        path.relative_to(place.home)
        for path in place.home.rglob("*")
        if path.is_file() and path.name not in {"pipeline.lock", "interactions.csv"}
    )


def _files_harmed_together(place: Place, *, both_ways: bool) -> Iterator[list[Path]]:
    """What a manifest describes or, of every other artifact, the manifest; then the other way.

    The other files together with the first, or each by itself where it goes both ways. An
    artifact's damage is its own: whole inputs that are made again, as they were, repair nothing.
    """
    for other_way in (False, True) if both_ways else (False,):
        # What is made again has files of other names, too.
        of_artifacts = [file for file in _files_of(place) if file.parts[0] == "artifacts"]
        folders = sorted({file.parts[1:3] for file in of_artifacts})
        loses_manifest = {folder: n % 2 != other_way for n, folder in enumerate(folders)}
        harmed = [
            file
            for file in of_artifacts
            if (file.name == manifests.MANIFEST) is loses_manifest[file.parts[1:3]]
        ]
        # The published file or its checksum by itself: test_refresh_sentences.py.
        yield harmed if both_ways else [*harmed, *_files_alone(place)]
    if both_ways:
        yield from ([file] for file in _files_alone(place))


def _files_alone(place: Place) -> list[Path]:
    # The pipeline's database as a whole: see the next test; cut short it is told, not made again.
    files = {file for file in _files_of(place) if file.parts[0] != "artifacts"}
    alone = files - {Path("pipeline.duckdb")}
    assert {file.name for file in alone} == {
        last_run.FILE, "warehouse.duckdb", "warehouse.duckdb.sha256",
    }  # fmt: skip
    return sorted(alone)


@pytest.mark.parametrize(
    ("harm", "both_ways"),
    [
        ("gone", False),
        # An artifact loses what its manifest describes or the manifest: half of them, each.
        pytest.param("gone", True, marks=pytest.mark.thorough),
        # What is cut short counts as gone: test_refresh.py (artifacts), test_refresh_sentences.py
        # (the published file).
        pytest.param("cut short", True, marks=pytest.mark.thorough),
    ],
)
def test_file_of_the_store_that_is_harmed_is_made_again(before, place, harm, both_ways):
    names = {file.name for file in _files_of(place)}
    assert {"din.png", "din.svg", "din.onnx", "model.safetensors", "histories.parquet"} <= names
    artifacts = sorted(path for path in place.home.glob("artifacts/*/*") if not path.is_symlink())
    assert len(artifacts) >= 5
    for files in _files_harmed_together(place, both_ways=both_ways):
        for file in files:
            path = place.home / file
            if harm == "gone":
                path.unlink()
            elif file.name == last_run.FILE:
                path.write_text("")
            else:
                path.chmod(0o644)
                with path.open("r+b") as opened:
                    opened.truncate(path.stat().st_size // 2)
        place.run()
        assert [manifests.damage_of(folder) for folder in artifacts] == [None] * len(artifacts)
        missing = [file for file in files if not (place.home / file).exists()]
        assert [file for file in missing if "tensorboard" not in file.parts] == []
    assert place.content() == before


# A first run, as the build without a past above, but beside the files of an earlier one.
@pytest.mark.thorough
def test_store_that_is_gone_is_made_again_without_a_trace(before, place):
    (place.home / "pipeline.duckdb").unlink()
    assert "interactions" in place.run()
    assert place.content() == before


def test_file_with_the_rows_of_the_synthetic_log_has_no_oracle(finished, tmp_path, instance):
    place = Place(tmp_path, instance, copy.deepcopy(finished.config))
    shutil.copytree(finished.home, place.home, symlinks=True)

    def figures() -> set[str]:
        with _tables(place) as con:
            rows = con.execute(
                "select metric from metrics where model_version = ?",
                [ledger.entry(con, "din_model").data_version],
            ).fetchall()
        return {name for (name,) in rows}

    assert "oracle_auc" in figures()
    shutil.copy(place.home / "synthetic" / "interactions.csv", place.csv)
    place.config["ops"]["interactions"] = {"config": {}}
    made = place.run(until="test_auc")
    assert "test_auc" in made
    assert "din_model" not in made
    assert "auc" in figures()
    assert "oracle_auc" not in figures()
