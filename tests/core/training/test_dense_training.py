"""Numbers in training: measured on the training split, carried to each batch, learned from."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from din_core import metrics
from din_core.config import DINConfig, SequenceConfig, SourceConfig, TrainingConfig
from din_core.inputs import training_data
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlanner
from din_core.inputs.normalization import normalization_of
from din_core.network.features import Normalization
from din_core.network.tensor_hash import tensors_hash
from din_core.serving import saved_models
from din_core.tables import sequences
from din_core.training import loop, prediction

MODEL = DINConfig(embed_dim=2, mlp_dims=(8,), attention_dims=(4,), use_user=False)
TRAINING = TrainingConfig(n_epoch=1, batch_size=64, num_threads=1, fused=False, weight_decay=0.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2, 4, 4, 4, 5, 5, 7, 9], Normalization(mean=5.0, std=2.0)),
        ([2, np.nan, 4], Normalization(mean=3.0, std=1.0, has_missing=True)),
        ([0.1, 0.1, 0.1], Normalization(mean=float(np.float32(0.1)), std=1.0)),
        ([3e38, -3e38], Normalization(mean=0.0, std=float(np.float32(3e38)))),
        ([1e-45, 0.0], Normalization(mean=float(np.float32(1e-45)) / 2, std=1.0)),
        ([np.nan, np.nan], Normalization(mean=0.0, std=1.0, has_missing=True)),
        ([], Normalization(mean=0.0, std=1.0)),
    ],
)
def test_mean_and_deviation_by_hand(values, expected):
    found = normalization_of(np.array(values, dtype=np.float32))
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected))


def load(con, log, columns="user_id, item_id, time, price, age, hour", **options):
    """Make everything up to the samples of rows (user, item, time, price, age, hour[, label])."""
    values = dict(zip(columns.split(", "), zip(*log, strict=True), strict=True))
    rows = pa.table(  # noqa: F841 (DuckDB finds it by its name)
        {
            name: pa.array(each, pa.float64() if name in ("price", "age", "hour") else pa.int64())
            for name, each in {**values, "line": range(2, len(log) + 2)}.items()
        }
    )
    con.execute("create or replace table interactions as select *, 'log.csv' as file from rows")
    by_role = {
        "item_dense_cols": ("price",),
        "user_dense_cols": ("age",),
        "context_dense_cols": ("hour",),
    }
    source = SourceConfig(path="", item_attribute_cols=(), **by_role)
    sequences.build(con, source, SequenceConfig(**options))
    return training_data.load(con)


def test_numbers_are_measured_over_the_training_samples_one_by_one(con):
    # Two users of five events: positions 2 and 3 train, each with one negative beside it.
    log = [(1, item, item, item, 20, 10 * item) for item in range(1, 6)]
    log += [(2, item, item, item, 40, 1000 * item) for item in range(1, 6)]
    log += [(3, 6, 1, None, None, None), (3, 7, 2, None, None, None)]  # test alone, and free items
    data = load(con, log)
    train = data.samples["train"]
    assert sorted(train.user) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert sorted(train.item[train.label == 0])[0] >= 6  # priced by nobody
    vocabulary = data.vocabulary
    # Items 2 and 3 of both users; the other half of the samples has no price.
    assert vocabulary.item_dense["price"] == Normalization(mean=2.5, std=0.5, has_missing=True)
    assert vocabulary.user_dense["age"] == Normalization(mean=30.0, std=10.0)
    # 20, 30, 2000 and 3000, twice each.
    assert vocabulary.context_dense["hour"].mean == 1262.5
    assert not vocabulary.context_dense["hour"].has_missing


def impressions(n_users=60, n_rows=8, seed=0):
    """Labelled rows; the hour says the label, and nothing else does."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(1, n_users + 1):
        labels = [1, *random.integers(0, 2, n_rows - 1)]
        for time, label in enumerate(labels):
            hour = random.uniform(12, 24) if label else random.uniform(0, 12)
            item = int(random.integers(1, 40))
            rows.append((user, item, time, 1.0 + item, 30.0, hour, int(label)))
    return rows


LABELLED = "user_id, item_id, time, price, age, hour, label"


def test_rows_of_validation_and_test_do_not_move_the_weights(con):
    log = impressions()
    n_rows = max(row[2] for row in log)
    weights = []
    for shift in (0, 1000):
        moved = [
            (*row[:5], row[5] + shift * (row[2] >= n_rows - 1), row[6])  # the last two moments
            for row in log
        ]
        trained = loop.train(MODEL, TRAINING, load(con, moved, LABELLED))
        weights.append(tensors_hash(trained.model.state_dict()))
    assert weights[0] == weights[1]
    of_training = [(*row[:5], row[5] + 1000 * (row[2] == 1), row[6]) for row in log]
    trained = loop.train(MODEL, TRAINING, load(con, of_training, LABELLED))
    assert tensors_hash(trained.model.state_dict()) != weights[0]


def test_a_number_that_says_the_label_lifts_the_auc_from_chance_to_near_one(con):
    config = dataclasses.replace(TRAINING, n_epoch=12, learning_rate=0.01, earlystop_patience=12)
    aucs = {}
    for kind in ("telling", "mute"):
        log = impressions(n_users=150)
        if kind == "mute":
            log = [(*row[:5], 7.0, row[6]) for row in log]
        data = load(con, log, LABELLED)
        trained = loop.train(MODEL, config, data)
        test = prediction.predict(trained.model, data).to_pydict()
        aucs[kind] = metrics.auc(np.array(test["label"]), np.array(test["score"]))
    assert aucs["telling"] > 0.95
    assert 0.35 < aucs["mute"] < 0.65


def test_redrawn_negatives_have_the_context_of_their_positive(con):
    log = [(user, 5 * user + t, t, 1.0, 1.0, 100.0 * user + t) for user in (1, 2) for t in range(6)]
    data = load(con, log)
    config = dataclasses.replace(TRAINING, negatives="redrawn", redrawn_per_positive=2)
    columns = EpochPlanner(data, config).plan(0).columns()
    # An event at position p has the time p - 1, and its hour says both.
    hours = sorted(zip(columns["context"][:, 0].tolist(), columns["label"].tolist(), strict=True))
    expected = [100.0 * user + t for user in (1, 2) for t in (1, 2, 3)]
    assert hours == [(hour, label) for hour in expected for label in (0, 0, 1)]


def test_a_batch_has_the_numbers_of_its_samples(con):
    log = [(1, item, item, 10.0 * item, 33.0, 100.0 + item) for item in range(1, 5)]
    log += [(2, 9, 1, None, None, None)]
    data = load(con, log)
    test = data.samples["test"].take(np.array([0, 1]))
    batch = BatchGatherer(data, torch.device("cpu")).gather(
        **{name: torch.as_tensor(values) for name, values in columns_of(test).items()},
        n_positions=6,
    )
    assert batch.sparse["target_price"].tolist() == pytest.approx([40.0, np.nan], nan_ok=True)
    assert batch.sparse["age"].tolist() == [33.0, 33.0]
    assert batch.sparse["hour"].tolist() == [104.0, 104.0]


def columns_of(samples):
    names = ("user", "item", "start", "end", "context")
    return {name: values for name, values in samples.columns().items() if name in names}


def test_a_column_called_like_a_target_keeps_the_role_that_it_was_given(con):
    columns = "user_id, item_id, time, target_price, hist_x"
    typed = ", ".join(f"{name} bigint" for name in columns.split(", "))
    con.execute(f"create table interactions ({typed}, file varchar, line bigint)")
    for line in range(2, 8):
        con.execute(
            f"insert into interactions values (1, {line}, {line}, {line % 2}, {line}, 'log.csv', "
            f"{line})"
        )
    source = SourceConfig(
        path="", item_attribute_cols=("target_price",), user_attribute_cols=("hist_x",)
    )
    sequences.build(con, source, SequenceConfig())
    vocabulary = training_data.load(con).vocabulary
    assert vocabulary.item_attributes == {"target_price_idx": 2}
    assert vocabulary.user_attributes == {"hist_x_idx": 6}


def test_a_saved_model_answers_as_before_and_knows_its_numbers(con, tmp_path):
    data = load(con, impressions(), LABELLED)
    trained = loop.train(MODEL, TRAINING, data)
    saved_models.save_model(tmp_path, trained.model, MODEL, data.vocabulary)
    loaded = saved_models.load_model(tmp_path)
    assert loaded.vocabulary == data.vocabulary
    expected = prediction.predict(trained.model, data).column("score").to_pylist()
    assert prediction.predict(loaded.model, data).column("score").to_pylist() == expected


def test_another_number_is_another_log(con):
    data = load(con, impressions(), LABELLED)
    train = data.samples["train"]
    context = train.context.copy()
    context[0, 0] += 1
    others = [
        dataclasses.replace(data, item_dense={"price": data.item_dense["price"] + 1}),
        dataclasses.replace(data, user_dense={"age": data.user_dense["age"] + 1}),
        dataclasses.replace(
            data,
            samples={**data.samples, "train": dataclasses.replace(train, context=context)},
        ),
    ]
    assert len({each.fingerprint() for each in (data, *others)}) == 4
