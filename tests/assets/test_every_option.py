"""Every option that decides a result counts, and every SQL file: found by looking, so that a new
one is covered too.
"""

from __future__ import annotations

import json

import dagster as dg
import pytest

from din_assets.assets.catalogue import ASSETS, EVIDENCE
from din_assets.command import changes
from din_assets.runs.resources import StoreResource
from din_assets.starting import refresh_config
from din_core.store import ledger, sql_files
from din_core.tables.lineage import lineage

MADE = [each for each in ASSETS if isinstance(each, dg.AssetsDefinition) and each.is_materializable]
#: Of all options, those that decide no result: when a training writes down where it is, how long
#: its processes wait for each other, and how often they are started again.
IDLE = {"checkpoint_seconds", "worker_timeout_seconds", "worker_restarts"}
OPTIONS = [
    (definition, option)
    for definition in MADE
    for option in refresh_config.options(definition.op.name, {})
]


def reasons(definition, options, tmp_path):
    """Why a step that was made with some options is made again, where nothing else changed."""
    asset = next(key.to_user_string() for key in definition.keys)
    entry = ledger.Entry(
        asset=asset,
        data_version="made",
        code_version=str(definition.code_versions_by_key[dg.AssetKey(asset)]),
        options=options,
        inputs={},
    )
    resource = StoreResource(home=str(tmp_path))
    config = {"ops": {"interactions": {"config": {"path": "synthetic"}}}}
    found = changes.own_reasons(definition, asset, changes.State({asset: entry}), config, resource)
    return [reason for reason in found if ": " in reason]


def of(chosen):
    names = [f"{definition.op.name}.{option}" for definition, option in chosen]
    return pytest.mark.parametrize(("definition", "option"), chosen, ids=names)


@of([each for each in OPTIONS if each[1] not in IDLE])
def test_step_made_with_another_value_of_an_option_is_made_again(definition, option, tmp_path):
    config = {"ops": {"interactions": {"config": {"path": "synthetic"}}}}
    now = refresh_config.options(definition.op.name, config)
    assert reasons(definition, now, tmp_path) == []

    (reason,) = reasons(definition, {**now, option: "another"}, tmp_path)

    assert reason.startswith(f"{option}: ")


@of([each for each in OPTIONS if each[1] in IDLE])
def test_step_is_not_made_again_for_an_option_that_decides_no_result(definition, option, tmp_path):
    now = refresh_config.options(definition.op.name, {})

    assert reasons(definition, {**now, option: "another"}, tmp_path) == []


def test_every_option_is_kept_with_what_was_made(finished):
    kept = {
        asset: set(json.loads(options))
        for asset, options in finished.query("select asset, options from ledger")
    }

    for definition in MADE:
        expected = set(refresh_config.options(definition.op.name, {}))
        for key in definition.keys:
            assert expected <= kept[key.to_user_string()], key


def test_every_sql_file_belongs_to_an_asset():
    made = [*MADE, *EVIDENCE]
    assets = [key.to_user_string() for definition in made for key in definition.keys]
    read = {path for asset in assets for file in lineage().files_of(asset) for path in file.paths}

    assert set(sql_files.SQL_ROOT.rglob("*.sql")) - read == set()
