"""Two logs and a team's own assets in one code location and one run history."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from din_assets.definitions import build_defs
from din_assets.runs import last_run
from din_core.store import ledger
from tests.assets.small_pipeline import run_history

MADE = ["interactions", "rejected_rows", "known_ids", "users"]


@dg.asset(deps=[dg.AssetKey(["clicks", "users"])])
def count_of_users(config: dg.Config) -> None:
    """An asset of the team, below one of ours."""


class Shop:
    """A code location with two logs."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance
        self.job = dg.Definitions.merge(
            dg.Definitions(assets=[count_of_users]),
            build_defs(prefix="clicks", group_prefix="clicks", home=folder / "clicks"),
            build_defs(prefix="orders", group_prefix="orders", home=folder / "orders"),
        ).resolve_implicit_global_asset_job_def()

    def run(self, *logs: str, ops: dict[str, Any], others: tuple[str, ...] = ()) -> Any:
        return self.job.execute_in_process(
            asset_selection=[
                *(dg.AssetKey([log, name]) for log in logs for name in MADE),
                *(dg.AssetKey(name) for name in others),
            ],
            run_config={"ops": ops},
            instance=self.instance,
            raise_on_error=False,
        )

    def users(self, log: str) -> int:
        with duckdb.connect(str(self.folder / log / "pipeline.duckdb"), read_only=True) as con:
            return con.execute("select count(*) from users").fetchall()[0][0]

    def made(self, log: str) -> dict[str, ledger.Entry]:
        with duckdb.connect(str(self.folder / log / "pipeline.duckdb"), read_only=True) as con:
            return ledger.entries(con)


def synthetic(log: str, n_users: int) -> dict[str, Any]:
    shape = {"n_users": n_users, "n_items": 80, "n_cates": 6, "seed": 7}
    return {f"{log}__interactions": {"config": {"synthetic": shape}}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with run_history() as instance:
        yield Shop(tmp_path_factory.mktemp("shop"), instance)


def test_two_logs_are_made_in_one_run_and_keep_apart(shop):
    ops = {**synthetic("clicks", 60), **synthetic("orders", 40)}
    assert shop.run("clicks", "orders", ops=ops, others=("count_of_users",)).success
    assert (shop.users("clicks"), shop.users("orders")) == (60, 40)
    clicks, orders = shop.made("clicks"), shop.made("orders")
    assert set(clicks) == set(orders) == {*MADE, "source_files"}
    assert clicks["users"].data_version != orders["users"].data_version
    assert clicks["users"].code_version == orders["users"].code_version
    assert clicks["users"].inputs["interactions"] == clicks["interactions"].data_version
    remembered = last_run.read(shop.folder / "orders" / last_run.FILE)
    assert remembered["interactions"]["synthetic"]["n_users"] == 40

    # One is made again: the other stays as it was, and its choices, too, also for Dagster.
    materialization = shop.instance.get_latest_materialization_event
    of_orders = materialization(dg.AssetKey(["orders", "users"]))
    assert shop.run("clicks", ops=synthetic("clicks", 50)).success
    assert (shop.users("clicks"), shop.users("orders")) == (50, 40)
    assert materialization(dg.AssetKey(["orders", "users"])) == of_orders is not None
    assert shop.made("orders") == orders
    assert last_run.read(shop.folder / "orders" / last_run.FILE) == remembered

    # And a run that is told nothing goes by the choices of its own log.
    assert shop.run("clicks", "orders", ops={}).success
    assert (shop.users("clicks"), shop.users("orders")) == (50, 40)
    assert shop.made("orders") == orders


def test_two_prefixes_of_one_home_are_two_names_of_one_log(tmp_path):
    """ADR 31: what was made below one prefix is there below the other."""
    definitions = dg.Definitions.merge(
        build_defs(prefix="clicks", group_prefix="clicks", home=tmp_path / "shared"),
        build_defs(prefix="orders", group_prefix="orders", home=tmp_path / "shared"),
    )
    job = definitions.resolve_implicit_global_asset_job_def()

    def is_known(log: str) -> bool:
        return instance.get_latest_materialization_event(dg.AssetKey([log, "users"])) is not None

    def make(log: str, *names: str, ops: dict[str, Any]) -> None:
        selection = [dg.AssetKey([log, name]) for name in names]
        run = job.execute_in_process(
            asset_selection=selection, run_config={"ops": ops}, instance=instance
        )
        assert run.success

    with run_history() as instance:
        make("clicks", *MADE, ops=synthetic("clicks", 40))
        # What Dagster knows of one name it knows of no other.
        assert (is_known("clicks"), is_known("orders")) == (True, False)
        make("orders", "attributes", "items", ops={})
    with duckdb.connect(str(tmp_path / "shared" / "pipeline.duckdb"), read_only=True) as con:
        made = ledger.entries(con)
    assert set(made) == {*MADE, "source_files", "attributes", "items"}
    assert made["items"].inputs["known_ids"] == made["known_ids"].data_version


def test_a_step_that_is_called_by_its_bare_name_is_refused(shop):
    result = shop.run("clicks", ops={"interactions": {"config": {"drop_duplicates": True}}})
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_resource_init_failure]
    sentence = "ops: there is no step 'interactions'; it is called 'clicks__interactions' here"
    assert sentence in str(failure.event_specific_data.error)


def test_options_of_others_in_the_run_are_left_to_them(tmp_path):
    """Also without a prefix, where every other name would be one of ours that is misspelt."""

    class Wish(dg.Config):
        n: int = 1

    @dg.asset(deps=["users"])
    def count_of_users(config: Wish) -> None:
        assert config.n == 5

    definitions = dg.Definitions.merge(
        dg.Definitions(assets=[count_of_users]), build_defs(home=tmp_path / "data")
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    with run_history() as instance:
        result = job.execute_in_process(
            asset_selection=[*map(dg.AssetKey, [*MADE, "count_of_users"])],
            run_config={
                "ops": {
                    "count_of_users": {"config": {"n": 5}},
                    "interactions": synthetic("x", 40)["x__interactions"],
                }
            },
            instance=instance,
        )
    assert result.success


def test_a_job_of_some_steps_reads_no_source(tmp_path):
    """Its run has no selection of assets, and the steps that it has are those of the job."""
    below = dg.define_asset_job("users_only", selection=dg.AssetSelection.assets("users"))
    definitions = dg.Definitions.merge(
        dg.Definitions(jobs=[below]), build_defs(home=tmp_path / "data")
    )
    with run_history() as instance:
        whole = definitions.resolve_implicit_global_asset_job_def()
        assert whole.execute_in_process(
            asset_selection=[*map(dg.AssetKey, MADE)],
            run_config={"ops": {"interactions": synthetic("x", 40)["x__interactions"]}},
            instance=instance,
        ).success
        # A source that is not there is no matter of a run that reads none.
        (tmp_path / "data" / last_run.FILE).write_text(
            "ops: {interactions: {config: {path: /no/such/file.csv}}}\n"
        )
        job = definitions.resolve_job_def("users_only")
        assert job.execute_in_process(instance=instance).success
