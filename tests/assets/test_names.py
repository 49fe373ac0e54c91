"""Names and keys: what stays the name of an asset, and what Dagster calls it below a prefix."""

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from din_assets.assets.catalogue import ASSETS
from din_assets.definitions import build_defs
from din_assets.making import placing
from din_assets.making.placing import placed
from din_assets.names import PLAIN, Names, PrefixError, name_of, step_of

CLICKS = Names.below("clicks")
OF_A_TEAM = Names.below("team/clicks", "c")


def test_a_prefix_is_before_keys_identifiers_and_groups():
    assert OF_A_TEAM.key("samples").path == ["team", "clicks", "samples"]
    assert OF_A_TEAM.identifier("samples") == "team__clicks__samples"
    assert OF_A_TEAM.group("ingest") == "c_ingest"
    assert name_of(OF_A_TEAM.key("samples")) == "samples"
    assert step_of(OF_A_TEAM.identifier("din_model")) == "din_model"
    assert Names.below(["team", "clicks"], "c") == OF_A_TEAM


def test_without_a_prefix_names_keys_and_identifiers_are_the_same():
    assert PLAIN.key("samples").path == ["samples"]
    assert PLAIN.identifier("samples") == step_of("samples") == PLAIN.group("samples") == "samples"


@pytest.mark.parametrize("prefix", ["", "a b", "a__b", "_a", "a/", "a-b", ["a", ""], ["a/b"]])
def test_a_prefix_that_cannot_be_part_of_a_step_is_refused(prefix):
    with pytest.raises(PrefixError, match="prefix is "):
        Names.below(prefix)


def test_a_group_prefix_is_refused_likewise():
    with pytest.raises(PrefixError, match=r"group_prefix is 'my group'"):
        Names.below("clicks", "my group")


def test_what_others_are_given_beside_us_is_not_ours():
    config = {
        "ops": {"clicks__samples": {"config": {"max_history": 9}}, "samples": {}, "a__b": {}},
        "resources": {"clicks__store": {"config": {}}, "store": {}, "orders__store": {}},
        "loggers": {"theirs": {}},
    }
    assert CLICKS.own(config) == {
        "ops": {"samples": {"config": {"max_history": 9}}},
        "resources": {"store": {"config": {}}},
    }


def test_a_longer_prefix_is_another_log():
    config = {"ops": {"clicks__2024__samples": {}, "clicks__items": {}}}
    assert CLICKS.own(config) == {"ops": {"items": {}}}
    assert Names.below("clicks/2024").own(config) == {"ops": {"samples": {}}}


def test_steps_may_be_given_by_name_or_by_identifier_and_others_stay_to_be_refused():
    given = {"ops": {"clicks__samples": {"config": {}}, "items": {}, "orders__users": {}}}
    plain = CLICKS.in_names(given)
    assert plain == {"ops": {"samples": {"config": {}}, "items": {}, "orders__users": {}}}
    back = CLICKS.in_dagster({"ops": {"samples": {}}, "loggers": {"console": {}}})
    assert back == {"ops": {"clicks__samples": {}}, "loggers": {"console": {}}}


def test_a_step_that_is_given_twice_is_refused():
    with pytest.raises(PrefixError, match="both 'samples' and 'clicks__samples' are given"):
        CLICKS.in_names({"ops": {"samples": {}, "clicks__samples": {}}})


def _of(definitions: dg.Definitions) -> dict[str, tuple[str | None, str, set[str]]]:
    """Code version, group and inputs of each asset that is made, by name."""
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.materializable_asset_keys]
    return {
        name_of(node.key): (
            node.code_version,
            str(node.group_name),
            {name_of(parent) for parent in node.parent_keys},
        )
        for node in nodes
    }


def test_below_a_prefix_everything_is_there_with_the_same_versions_and_inputs():
    plain, below = build_defs(), build_defs(prefix="team/clicks", group_prefix="c")
    as_it_was = {
        name: (version, f"c_{group}", inputs)
        for name, (version, group, inputs) in _of(plain).items()
    }
    assert _of(below) == as_it_was
    graph, plain_graph = below.resolve_asset_graph(), plain.resolve_asset_graph()
    assert {tuple(key.path[:2]) for key in graph.get_all_asset_keys()} == {("team", "clicks")}
    assert {(name_of(key.asset_key), key.name) for key in graph.asset_check_keys} == {
        (name_of(key.asset_key), key.name) for key in plain_graph.asset_check_keys
    }


def test_below_a_prefix_each_asset_is_placed_once(monkeypatch):
    placed: Counter[Any] = Counter()
    place = placing._placed

    def counting(asset, names):
        placed[asset.op.name if isinstance(asset, dg.AssetsDefinition) else asset.key] += 1
        return place(asset, names)

    monkeypatch.setattr(placing, "_placed", counting)
    build_defs(prefix="placed/once")
    assert len(placed) == len(ASSETS)
    assert set(placed.values()) == {1}


def test_without_a_prefix_assets_are_what_they_were():
    assets = [dg.AssetSpec("one"), dg.AssetSpec("two", deps=["one"])]
    assert placed(assets, PLAIN) == assets


def test_logs_with_and_without_prefix_stand_beside_the_assets_of_a_team():
    @dg.asset(deps=[dg.AssetKey(["clicks", "samples"])])
    def samples() -> None:
        """An asset of the team, which happens to have one of our names."""

    @dg.logger
    def console(_: dg.InitLoggerContext):
        """A logger of the team."""

    team = dg.Definitions(
        assets=[samples],
        resources={"store": 1},
        loggers={"console": console},
        executor=dg.multiprocess_executor,
    )
    both = dg.Definitions.merge(
        team, build_defs(prefix="clicks"), build_defs(prefix="orders", home="orders")
    )
    dg.Definitions.validate_loadable(both)
    assert both.executor is dg.multiprocess_executor
    job = both.resolve_job_def("orders__full_run")
    keys = job.asset_layer.executable_asset_keys
    assert {key.path[0] for key in keys} == {"orders"}
    assert job.executor_def.name == "in_process"


def test_two_logs_without_a_home_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.setenv("DIN_HOME", str(tmp_path))

    def home(prefix: str | None) -> Path:
        resources = build_defs(prefix=prefix).resources or {}
        return resources[f"{prefix}__store" if prefix else "store"].folder

    assert home(None) == tmp_path
    assert home("clicks") == tmp_path / "clicks"
    assert home("orders") == tmp_path / "orders"


def test_what_a_step_yields_speaks_of_names_and_dagster_hears_keys():
    @dg.multi_asset(
        name="pair",
        specs=[dg.AssetSpec("one"), dg.AssetSpec("two")],
        check_specs=[
            dg.AssetCheckSpec("fits", asset="one"),
            dg.AssetCheckSpec("full", asset="two"),
        ],
    )
    def pair(context: dg.AssetExecutionContext, store: dg.ResourceParam[int]) -> Iterator[object]:
        passed = dg.AssetCheckResult(passed=True, asset_key="one", check_name="fits")
        yield dg.MaterializeResult(
            asset_key="one", check_results=[passed], metadata={"store": store}
        )
        yield dg.AssetCheckResult(passed=False, asset_key="two", check_name="full")
        yield dg.MaterializeResult(asset_key="two")

    definitions = dg.Definitions(
        assets=placed([pair], CLICKS), resources={"clicks__store": 5, "store": 7}
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    made = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert set(made) == {"clicks/one", "clicks/two"}
    assert made["clicks/one"]["store"].value == 5
    checks = {
        (each.asset_key.to_user_string(), each.check_name): each.passed
        for each in result.get_asset_check_evaluations()
    }
    assert checks == {("clicks/one", "fits"): True, ("clicks/two", "full"): False}


def test_an_observed_source_has_its_key_too():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_observable_source_asset(specs=[dg.AssetSpec("source")])
        def source(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
            yield dg.ObserveResult(asset_key="source", data_version=dg.DataVersion("1"))

    definitions = dg.Definitions(assets=placed([source], CLICKS))
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process()
    (seen,) = result.get_asset_observation_events()
    assert seen.asset_key.to_user_string() == "clicks/source"
