"""The model before, held against the log of today: which rows are its own, what it has seen.

A log that only grew holds out nothing that was learned, and events that were learned and are held
out now are said. What either does to a model shows `make test-thorough`: on a log that grows,
chance stays chance; where it loses its latest days, the same training finds out what it should not
know.
"""

from __future__ import annotations

import datetime
import shutil

import numpy as np
import pytest
from pyarrow import parquet

from din_core import metrics, sources, store
from din_core.config import DINConfig, SequenceConfig, SourceConfig, TrainingConfig
from din_core.inputs import training_data
from din_core.serving import predecessors, saved_models, vocabularies
from din_core.serving.publication import history
from din_core.serving.publication.history import Publication
from din_core.store import artifacts, ledger
from din_core.tables import sequences
from din_core.training import loop, prediction

NETWORK = DINConfig(embed_dim=2, mlp_dims=(4,), attention_dims=(4,), use_user=True)
MEMORIZING = DINConfig(
    embed_dim=16, mlp_dims=(64,), attention_dims=(4,), use_user=True, activation="relu",
    embedding_init_std=0.3,
)  # fmt: skip
LOOP = TrainingConfig(
    n_epoch=1, batch_size=64, fused=False, num_threads=1, checkpoint_seconds=0,
    allow_untrained=True, warm_start="last",
)  # fmt: skip
LONG = TrainingConfig(
    n_epoch=8, batch_size=256, learning_rate=0.01, weight_decay=0.0, negatives="redrawn",
    num_threads=1, earlystop_patience=8, checkpoint_seconds=0, warm_start="last",
)  # fmt: skip


class Days:
    """A log that is read anew every day, and the models that were trained on it."""

    def __init__(self, folder):
        self.folder = folder
        self.said = []
        self.day = 0

    def train(self, *rows, before=None, split="leave_one_out", network=NETWORK, loop_config=LOOP):
        """Read the rows, train from a model's folder, and return the folder and the training."""
        self.day += 1
        day = self.folder / str(self.day)
        day.mkdir()
        log = day / "log.csv"
        log.write_text("\n".join(["user_id,item_id,time,cate_id", *rows]) + "\n")
        source = SourceConfig(path=str(log))
        folder = day / "model"
        folder.mkdir()
        with store.connect(day / "pipeline.duckdb", threads=1) as con:
            with store.transaction(con):
                sources.ingest(con, source)
            sequences.build(con, source, SequenceConfig(split=split))
            self.data = data = training_data.load(con)
            vocabulary = vocabularies.write(con, folder, with_users=True)
            found = before and predecessors.Found(
                predecessors.read(before, before.parent.name, folder, data.vocabulary),
                before,
            )
            trained = loop.train(network, loop_config, data, predecessor=found and found.model)
            about = predecessors.account(con, folder, trained.taken_over, found, self.said.append)
        about |= {"vocabulary": vocabulary, "epochs": trained.epochs_so_far}
        saved_models.save_model(folder, trained.model, network, data.vocabulary, about)
        return folder, trained


@pytest.fixture
def days(tmp_path):
    return Days(tmp_path)


def events(user, *items, since=0):
    return [
        f"{user},{item},{1_000_000 + since + n},c{item // 10 % 2}" for n, item in enumerate(items)
    ]


def test_rows_are_matched_by_id_though_indices_and_kinds_of_ids_changed(days):
    first, _ = days.train(*events(7, 10, 30, 20, 10), *events(9, 30, 10, 20, 30))
    # Item 5 comes before all others, and item x makes text of all ids; user 8 stands between.
    second, trained = days.train(
        *events(7, 10, 30, 20, 10, 5), *events(9, 30, 10, 20, 30), *events(8, 5, 10, 20),
        f"8,x,{1_000_100},c0", before=first,
    )  # fmt: skip
    items = parquet.read_table(second / vocabularies.FOLDER / "items.parquet").to_pydict()
    assert items["item_id"] == ["10", "20", "30", "5", "x"]
    saved = predecessors.read(first, "1", second, saved_models.load_model(second).vocabulary)
    assert saved.rows["target_item_idx"].tolist() == [0, 1, 2, 3, 0, 0]
    assert saved.rows["user_idx"].tolist() == [0, 1, 0, 2]
    assert saved.rows["hist_cate_idx"].tolist() == [0, 1, 2]
    assert trained.taken_over.rows == {
        "target_item_idx": (3, 5), "target_cate_idx": (2, 2), "user_idx": (2, 3),
    }  # fmt: skip


def test_log_that_only_grew_holds_out_nothing_that_was_learned(days):
    # All events of a user at one time: what is later is told by the order of the source alone.
    tied = [f"3,{item},1000000,c0" for item in (1, 2, 3, 4, 5)]
    rows = [*events(1, 1, 2, 3, 4, 5), *events(2, 5, 4, 3, 2), *tied]
    first, _ = days.train(*rows)
    reach = parquet.read_table(first / predecessors.REACH_FILE).to_pylist()
    assert reach == [
        # Five events, two of them held out; four, two held out; five of one time.
        {"user_id": "1", "last_time": 1_000_002.0, "n_at_last_time": 1},
        {"user_id": "2", "last_time": 1_000_001.0, "n_at_last_time": 1},
        {"user_id": "3", "last_time": 1_000_000.0, "n_at_last_time": 3},
    ]
    grown = [*rows, *events(1, 6, since=50), *events(4, 1, 2, 3, 4, since=60), "3,6,1000000,c0"]
    second, _ = days.train(*grown, before=first)
    assert days.said == []
    about = saved_models.load_model(second).metadata["warm_start"]
    assert about["held_out_but_seen"] == {"test": 0, "val": 0}
    assert about["from"] == "1"


def test_events_that_were_learned_and_are_held_out_now_are_counted_and_said(days):
    rows = [*events(1, 1, 2, 3, 4, 5, 6), *events(2, 5, 4, 3, 2)]
    first, _ = days.train(*rows)
    # User 1 was trained on up to the fourth event; without the last two, that one is test and the
    # third validation. Nothing of user 2 changed.
    second, _ = days.train(*events(1, 1, 2, 3, 4), *rows[6:], before=first)
    [sentence] = days.said
    assert "1 of 2 of the split 'test', 1 of 2 of the split 'val'" in sentence
    assert "train once with warm_start: none" in sentence

    # What an ancestor learned is learned, though the model between was trained on less.
    days.said.clear()
    days.train(*events(1, 1, 2, 3, 4), *rows[6:], before=second)
    assert "1 of 2 of the split 'test'" in days.said[0]


def test_of_one_time_as_many_events_were_learned_as_any_ancestor_learned(days):
    # Seven events of one time: five were trained on. Of five only three are, later.
    tied = [f"3,{item},1000000,c0" for item in (1, 2, 3, 4, 5, 6, 7)]
    others = events(1, 1, 2, 3, 4, 5)
    first, _ = days.train(*tied, *others)
    second, _ = days.train(*tied[:5], *others, before=first)
    assert "1 of 2 of the split 'test', 1 of 2 of the split 'val'" in days.said[0]
    [reach] = [
        row
        for row in parquet.read_table(second / predecessors.REACH_FILE).to_pylist()
        if row["user_id"] == "3"
    ]
    assert reach == {"user_id": "3", "last_time": 1_000_000.0, "n_at_last_time": 5}


def test_split_that_was_changed_is_told_by_what_was_learned(days):
    # By time, all events of users 1 and 2 are training (eight of ten); leave-one-out holds out the
    # last two of each, and the last one of user 3.
    rows = [*events(1, 1, 2, 3, 4, 5), *events(2, 1, 2, 3, since=50), *events(3, 5, 4, since=60)]
    first, _ = days.train(*rows, split="temporal")
    days.train(*rows, before=first)
    [sentence] = days.said
    assert "2 of 3 of the split 'test', 2 of 2 of the split 'val'" in sentence


def test_model_that_does_not_say_what_it_learned_is_not_vouched_for(days):
    rows = events(1, 1, 2, 3, 4, 5)
    first, _ = days.train(*rows)
    (first / predecessors.REACH_FILE).unlink()
    second, _ = days.train(*rows, before=first)
    assert "does not say which events it was trained on" in days.said[0]
    told = saved_models.load_model(second).metadata["warm_start"]["held_out_but_seen"]
    assert told == {"test": None, "val": None}


def kept(root, folder, version):
    """Keep a model as the asset does."""
    staged = shutil.copytree(folder, root / "din_model" / ".staged")
    return artifacts.commit(staged, version)


def record_latest(con, version):
    ledger.record(
        con,
        ledger.Entry(
            asset="din_model", data_version=version, code_version="c", options={}, inputs={},
            artifact=f"din_model/{version}",
        ),
    )  # fmt: skip


def decide(con, version, action):
    decision = Publication(
        decided_at=datetime.datetime(2026, 1, 1),  # noqa: DTZ001  (UTC without a zone)
        model_version=version, bundle_version=f"b{version}", action=action, reason="a test",
    )  # fmt: skip
    history.add(con, decided=[decision])


@pytest.mark.parametrize("damaged", [False, True])
def test_without_a_model_to_read_training_starts_from_random_weights_and_says_so(
    days, tmp_path, damaged
):
    first, _ = days.train(*events(1, 1, 2, 3, 4, 5))
    said = []
    with store.connect(":memory:", threads=1) as con:
        if damaged:
            made = kept(tmp_path, first, "v1")
            (made / saved_models.WEIGHTS_FILE).write_bytes(b"no model")
            record_latest(con, "v1")
        today = con, tmp_path, first, days.data.vocabulary
        found = predecessors.chosen(*today, "last", said.append)
    assert found is None
    assert said[0].startswith("training starts from random weights: ")
    assert ("model.safetensors" in said[0]) == damaged


def test_published_model_is_the_start_though_another_was_made_and_refused_since(days, tmp_path):
    folder, _ = days.train(*events(1, 1, 2, 3, 4, 5))
    good, refused = kept(tmp_path, folder, "good"), kept(tmp_path, folder, "bad")
    said = []
    with store.connect(":memory:", threads=1) as con:
        today = con, tmp_path, folder, days.data.vocabulary

        def start(which):
            said.clear()
            found = predecessors.chosen(*today, which, said.append)
            return found and (found.model.version, found.folder)

        record_latest(con, "good")
        assert start("published") is None
        assert "no model is published here yet" in said[0]
        decide(con, "good", "published")
        assert (start("published"), start("last"), said) == (("good", good),) * 2 + ([],)

        record_latest(con, "bad")
        # Nobody has judged it yet: nothing is said of it.
        assert (start("last"), said) == (("bad", refused), [])
        decide(con, "bad", "refused")
        assert (start("published"), said) == (("good", good), [])
        assert start("last") == ("bad", refused)
        [sentence] = said
        assert "takes model bad, which is not the published one (good is)" in sentence

        decide(con, "bad", "rolled back")
        assert (start("published"), start("last"), said) == (("bad", refused),) * 2 + ([],)
        assert start("none") is None
        shutil.rmtree(refused)
        assert start("published") is None
        [sentence] = said
        assert sentence == (
            "training starts from random weights: din_model/bad is gone. "
            "warm_start: last starts from the latest model instead"
        )


def chance_log(n_events, orders):
    """Each user takes items in an order of chance, and none twice: no model can tell the next."""
    return [
        f"{user},{order[n]},{n},c{order[n] % 4}"
        for user, (order, n_user) in enumerate(zip(orders, n_events, strict=True))
        for n in range(n_user)
    ]


# Quick: `test_log_that_only_grew_holds_out_nothing_that_was_learned`.
@pytest.mark.thorough
@pytest.mark.parametrize("grows", [True, False])
def test_chance_stays_chance_over_warm_starts_on_a_log_that_grows(days, grows):
    rng = np.random.default_rng(0)
    n_users, n_items, n_days = 800, 30, 2
    orders = np.stack([rng.permutation(n_items) for _ in range(n_users)])
    # In a day a third of the users take nothing and keep their test rows, others an item or two.
    n_events = 6 + np.cumsum(rng.integers(0, 3, (n_days, n_users)), axis=0)
    before = None
    for day in range(n_days) if grows else reversed(range(n_days)):
        rows = chance_log(n_events[day], orders)
        before, trained = days.train(*rows, before=before, network=MEMORIZING, loop_config=LONG)
    assert trained.epochs_so_far == LONG.n_epoch * n_days
    scores = prediction.predict(trained.model, days.data, "test")
    auc = metrics.auc(scores["label"].to_numpy(), scores["score"].to_numpy())
    # The standard deviation of an AUC of chance, with as many negatives as positives.
    deviation = ((2 * n_users + 1) / (12 * n_users * n_users)) ** 0.5
    assert 4 * deviation < 0.06
    # A log that loses its latest days holds out what was learned: it is remembered, and said.
    assert (abs(auc - 0.5) < 4 * deviation) == grows
    assert (days.said == []) == grows
