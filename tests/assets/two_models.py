"""A log in which users keep to one of two categories, and models that learn that or do not."""

import contextlib
import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from din_assets.command.refresh import refresh
from din_core.serving.publication import history
from din_core.store import artifacts, ledger
from tests.assets.small_pipeline import SMALL_RUN
from tests.assets.stand_ins import (
    stand_in_for_pictures,
    stand_in_for_the_graphs,
    stand_in_for_the_index_graph,
)

# 40 users of six events; all items of a user are of the user's own category.
ROWS = [
    f"{user},{1 + (user % 2) * 20 + (user * 7 + 3 * step) % 20},{1000 + 100 * step + user},"
    f"{user % 2}"
    for user in range(40)
    for step in range(6)
]
GOOD = {"n_epoch": 8, "learning_rate": 0.05, "batch_size": 32, "ema_decay": 0.0}
# Steps so small that the model stays what it was drawn as.
WORSE = {**GOOD, "n_epoch": 1, "learning_rate": 1e-9}
OTHER = {**GOOD, "seed": 7}


@dataclass
class House:
    """A home, and what is done in it."""

    home: Path
    instance: Any
    csv: Path
    options: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SMALL_RUN["ops"]))

    def run(self, model=None, publish=None, base_rate=None, until=None, **kwargs):
        """Make what changed, all of it or up to an asset; return it with its reasons."""
        ops = copy.deepcopy(self.options)
        ops["interactions"] = {"config": {}}
        ops["attention_weights"] = {"config": {"n_users": 2}}
        ops["test_rankings"] = {"config": {"all_items_positives": 0, "sampled_positives": 0}}
        judged = {"allow_no_better_than_popularity": True, "base_rate": base_rate}
        ops["test_auc"] = {"config": judged}
        if model is not None:
            self.options["din_model"]["config"].update(model)
            ops["din_model"]["config"].update(model)
        if publish is not None:
            ops["model_versions"] = {"config": {"publish": publish}}
            self.options["model_versions"] = ops["model_versions"]
        config = {
            "ops": ops,
            "resources": {"store": {"config": {"home": str(self.home), "threads": 1}}},
            "loggers": SMALL_RUN["loggers"],
        }
        made = {}
        decisions = refresh(self.instance, run_config=config, named=str(self.csv), **kwargs)
        with contextlib.closing(decisions):
            for decision in decisions:
                if decision.reasons:
                    made |= dict.fromkeys(decision.assets, decision.reasons)
                if until in decision.assets:
                    break
        return made

    def judge(self, model=None, **kwargs):
        """Make what changed up to the decision about the model; no page, and nothing published."""
        return self.run(model, until="model_versions", **kwargs)

    def made(self):
        with duckdb.connect(str(self.home / "pipeline.duckdb"), read_only=True) as con:
            return ledger.entries(con)

    def tables(self, file="pipeline"):
        with duckdb.connect(str(self.home / f"{file}.duckdb"), read_only=True) as con:
            return history.model_versions(con), history.publications(con)

    def decisions(self):
        """Model and action of every decision."""
        return [(each.model_version, each.action) for each in self.tables()[1]]

    def current(self):
        return artifacts.pointed_to(self.home / "artifacts", "bundle")

    def model(self):
        return self.made()["din_model"].data_version

    def bundle(self):
        return self.made()["bundle"].data_version


def entered(two, tmp_path, monkeypatch, state):
    """Return a copy of a house, as it was after both models (``data``) or three (``third``).

    The graphs of its first two bundles are real, those of others are not there.
    """
    folder, _, before = two
    without_what_is_not_asked(monkeypatch)
    stand_in_for_the_graphs(monkeypatch)
    shutil.copytree(folder / state, tmp_path / "data", symlinks=True)
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    found = House(tmp_path / "data", before.instance, before.csv)
    found.options["din_model"]["config"].update(OTHER if state == "third" else WORSE)
    return found


def without_what_is_not_asked(patch):
    """Have stand-ins for the pictures, and for the graph that takes indices."""
    stand_in_for_pictures(patch)
    stand_in_for_the_index_graph(patch)
