"""The tutorial's names do what they say, and what they should have done."""

from __future__ import annotations

import logging
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from din_core.sources import SourceError
from din_core.tutorial import (
    DIN,
    CTRTrainer,
    DataGenerator,
    ONNXExporter,
    SequenceFeature,
    SparseFeature,
    df_to_dict,
    generate_seq_feature,
    pad_sequences,
    visualize_model,
    vocabulary_sizes,
)

DOCUMENT = Path(__file__).parents[2] / "README.md"

# Users 10 (four events, one time twice), 20 (one) and 30 (three); items a … f, two categories.
LOG = pd.DataFrame(
    [
        (10, "b", 2, "y"),
        (10, "a", 1, "x"),
        (30, "e", 5, "x"),
        (10, "d", 3, "y"),
        (10, "c", 3, "x"),
        (20, "a", 9, "x"),
        (30, "f", 6, "y"),
        (30, "a", 7, "x"),
    ],
    columns=["user", "item", "when", "cate"],
)
COLUMNS = {"user_col": "user", "item_col": "item", "time_col": "when"}


def generate(data=LOG, **options):
    return generate_seq_feature(data=data, **COLUMNS, item_attribute_cols=["cate"], **options)


def test_positives_by_hand():
    train, val, test = generate(shuffle=False, max_len=4)
    # Indices: users 10, 20, 30 → 1, 2, 3; items a … f → 1 … 6; categories x, y → 1, 2.
    # User 10: a b d c ("d" and "c" tie in time: the row decides). User 30: e f a.
    positives = {
        name: [
            (row.target_item_id, row.user, [*row.hist_item_id], [*row.hist_cate], row.target_cate)
            for row in frame[frame.label == 1].itertuples()
        ]
        for name, frame in (("train", train), ("val", val), ("test", test))
    }
    assert positives == {
        "train": [(2, 1, [1, 0, 0, 0], [1, 0, 0, 0], 2)],
        "val": [(4, 1, [1, 2, 0, 0], [1, 2, 0, 0], 2), (6, 3, [5, 0, 0, 0], [1, 0, 0, 0], 2)],
        "test": [(3, 1, [1, 2, 4, 0], [1, 2, 2, 0], 1), (1, 3, [5, 6, 0, 0], [1, 2, 0, 0], 1)],
    }


def test_every_positive_has_a_negative_that_its_user_never_touched():
    touched = {1: {1, 2, 3, 4}, 3: {5, 6, 1}}
    cate_of = {1: 1, 2: 2, 3: 1, 4: 2, 5: 1, 6: 2}
    for frame in generate(shuffle=False):
        assert frame.label.tolist() == [1, 0] * (len(frame) // 2)
        for row in frame[frame.label == 0].itertuples():
            assert row.target_item_id not in touched[row.user]
            assert row.target_cate == cate_of[row.target_item_id]


def test_columns_are_those_of_torch_rechub_in_their_order():
    for frame in generate():
        assert list(frame.columns) == [
            "label",
            "target_item_id",
            "user",
            "hist_item_id",
            "hist_cate",
            "target_cate",
        ]
    without = generate_seq_feature(LOG, "user", "item", "when")
    assert list(without[0].columns) == ["label", "target_item_id", "user", "hist_item_id"]


def test_the_callers_frame_is_left_alone():
    before = LOG.copy(deep=True)
    generate()
    pd.testing.assert_frame_equal(LOG, before)


def test_heavy_user_keeps_every_split_and_the_most_recent_items():
    n_events = 70
    heavy = pd.DataFrame({"user": 1, "item": range(n_events), "when": range(n_events), "cate": 0})
    other = pd.DataFrame({"user": 2, "item": [998, 999], "when": [0, 1], "cate": 0})
    train, val, test = generate(pd.concat([heavy, other]), shuffle=False, max_len=5)
    of_heavy = [frame[(frame.user == 1) & (frame.label == 1)] for frame in (train, val, test)]
    assert [len(frame) for frame in of_heavy] == [67, 1, 1]
    # The last event is item number 70; before it came 65 … 69.
    last = of_heavy[2].iloc[0]
    assert (last.target_item_id, [*last.hist_item_id]) == (70, [65, 66, 67, 68, 69])


def test_users_below_min_item_are_left_out():
    frames = generate(min_item=4)
    # Only user 10 has four interactions; users 20 and 30 get no index.
    assert {user for frame in frames for user in frame.user} == {1}


def test_shuffle_and_negatives_follow_the_seed():
    first, same, other = generate(), generate(), generate(seed=7)
    for left, right in zip(first, same, strict=True):
        assert left.drop(columns=["hist_item_id", "hist_cate"]).equals(
            right.drop(columns=["hist_item_id", "hist_cate"])
        )
    targets = [
        frames[0].target_item_id.tolist() + frames[2].target_item_id.tolist()
        for frames in (first, other)
    ]
    assert targets[0] != targets[1]
    in_order = generate(shuffle=False)
    for shuffled, ordered in zip(first, in_order, strict=True):
        assert sorted(shuffled.target_item_id) == sorted(ordered.target_item_id)


def test_a_column_called_label_is_no_impression():
    with_label = LOG.assign(label=0)
    for frame, expected in zip(generate(with_label), generate(), strict=True):
        assert frame.label.tolist() == expected.label.tolist()


def test_unusable_rows_are_left_out_with_a_warning(caplog):
    bad = pd.concat([LOG.astype({"when": str}), LOG.head(1).assign(when="yesterday")])
    with caplog.at_level(logging.WARNING):
        frames = generate(bad, shuffle=False)
    assert "1 of 9 rows were left out" in caplog.text
    for frame, expected in zip(frames, generate(shuffle=False), strict=True):
        assert frame.target_item_id.tolist() == expected.target_item_id.tolist()


def test_a_missing_column_is_named():
    with pytest.raises(SourceError, match="the data frame has no column 'item_id', only"):
        generate_seq_feature(LOG, "user", "item_id", "when")


def test_vocabulary_sizes_cover_target_and_history_together():
    frame = pd.DataFrame(
        {
            "label": [1, 0],
            "target_item_id": [3, 9],
            "user_id": [1, 2],
            "hist_item_id": [np.array([12, 0]), np.array([4, 5])],
            "target_cate": [2, 2],
        }
    )
    empty = frame.head(0)
    assert vocabulary_sizes(empty, frame) == {
        "target_item_id": 13,
        "hist_item_id": 13,
        "user_id": 3,
        "target_cate": 3,
    }


def test_frames_become_arrays():
    arrays = df_to_dict(generate(shuffle=False, max_len=4)[2])
    assert arrays["hist_item_id"].shape == (4, 4)
    assert arrays["label"].tolist() == [1, 0, 1, 0]
    as_lists = df_to_dict(pd.DataFrame({"a": [[1, 2], [3, 4]]}))
    assert as_lists["a"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 1, 2], [3, 4, 5], [0, 0, 0]]),
        ({"padding": "post", "value": 9}, [[1, 2, 9], [3, 4, 5], [9, 9, 9]]),
        ({"maxlen": 2}, [[1, 2], [4, 5], [0, 0]]),
        ({"maxlen": 2, "truncating": "post"}, [[1, 2], [3, 4], [0, 0]]),
        ({"maxlen": 0}, [[], [], []]),
    ],
)
def test_padding_and_truncating(options, expected):
    padded = pad_sequences([[1, 2], [3, 4, 5], []], **options)
    assert padded.tolist() == expected
    assert padded.dtype == np.int32


def test_wrong_side_is_refused():
    with pytest.raises(ValueError, match="padding 'left' is neither 'pre' nor 'post'"):
        pad_sequences([[1]], padding="left")


def loaders(**options):
    x = {"id": np.arange(10), "hist": np.arange(20).reshape(10, 2)}
    y = np.arange(10) % 2
    return DataGenerator(x, y).generate_dataloader(x, y, x, y, batch_size=4, **options)


def test_loaders_cut_batches_and_shuffle_training_only():
    train, val, _ = loaders(num_workers=2)
    assert len(val) == 3
    assert [inputs["id"].tolist() for inputs, _ in val] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    first, second = ([i for inputs, _ in train for i in inputs["id"].tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [i for inputs, _ in loaders()[0] for i in inputs["id"].tolist()] == first
    for inputs, labels in train:
        assert torch.equal(inputs["hist"][:, 0], inputs["id"] * 2)
        assert torch.equal(labels, (inputs["id"] % 2).float())


def test_random_split_is_disjoint_and_complete():
    x = {"id": np.arange(10)}
    parts = DataGenerator(x, np.zeros(10)).generate_dataloader(split_ratio=[0.5, 0.2])
    ids = [[i for inputs, _ in part for i in inputs["id"].tolist()] for part in parts]
    assert [len(part) for part in ids] == [5, 2, 3]
    assert sorted(ids[0] + ids[1] + ids[2]) == list(range(10))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "validation or test samples are missing"),
        ({"split_ratio": [0.9, 0.2]}, r"split_ratio \[0.9, 0.2\] must be"),
        ({"split_ratio": [0.5, 0.2], "batch_size": 0}, "batch_size 0 must be 1 or more"),
    ],
)
def test_impossible_loaders_are_refused(options, sentence):
    generator = DataGenerator({"id": np.arange(4)}, np.zeros(4))
    with pytest.raises(ValueError, match=sentence):
        generator.generate_dataloader(**options)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="input 'id' has 3 rows and there are 4 labels"):
        DataGenerator({"id": np.arange(3)}, np.zeros(4))


class Counter(nn.Module):
    """Its validation AUC goes up and down by a script: one entry an epoch."""

    def __init__(self, signs):
        super().__init__()
        self.signs = signs
        self.register_buffer("epoch", torch.tensor(0))
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, inputs):
        if self.training:
            self.epoch += 1
            return torch.sigmoid(self.weight * inputs["x"])
        return torch.sigmoid(self.signs[int(self.epoch) - 1] * inputs["x"])


X, Y = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
PASS = [({"x": X}, Y)]  # AUC 0.75 where the sign is positive, 0.25 where negative


@pytest.mark.parametrize(
    ("signs", "patience", "best", "epochs"),
    [
        ([-1, 1, -1, -1], 10, 2, 4),  # patience does not run out, restored all the same
        ([-1, 1, -1, -1, 1], 2, 2, 4),  # runs out after two worse epochs
        ([1, 1, 1], 1, 1, 2),  # an equal epoch is no better one
        ([-1, 1], 10, 2, 2),
    ],
)
def test_best_weights_are_always_restored_and_saved(tmp_path, signs, patience, best, epochs):
    model = Counter(signs)
    seen = []

    class Log:
        def log_hyperparams(self, params):
            seen.append(params)

        def log_metrics(self, metrics, step):
            seen.append((step, metrics["val/auc"]))

        def finish(self):
            seen.append("finished")

    trainer = CTRTrainer(
        model,
        n_epoch=len(signs),
        earlystop_patience=patience,
        model_path=tmp_path / "new",
        model_logger=Log(),
    )
    trainer.fit(PASS, PASS)
    assert int(model.epoch) == best
    assert int(load_file(tmp_path / "new" / "model.safetensors")["epoch"]) == best
    assert seen[0] == {"n_epoch": len(signs), "learning_rate": 1e-3, "loss_mode": True}
    aucs = [(step, {-1: 0.25, 1: 0.75}[signs[step]]) for step in range(epochs)]
    assert seen[1:] == [*aucs, "finished"]


def test_without_validation_the_last_weights_are_kept(tmp_path):
    model = Counter([1, 1, 1])
    CTRTrainer(model, n_epoch=3, model_path=tmp_path).fit(PASS)
    assert int(model.epoch) == 3


def test_evaluate_and_predict(tmp_path):
    trainer = CTRTrainer(Counter([1]), model_path=tmp_path)
    trainer.train_one_epoch(PASS)
    assert trainer.evaluate(trainer.model, PASS) == 0.75
    assert trainer.predict(trainer.model, PASS) == torch.sigmoid(X).tolist()
    one_class = [({"x": X}, torch.ones(4))]
    assert trainer.evaluate(trainer.model, one_class) is None


def test_loss_mode_adds_the_models_own_loss(tmp_path):
    class TwoLosses(nn.Linear):
        def forward(self, inputs):
            return torch.sigmoid(super().forward(inputs["x"][:, None])).squeeze(1), self.bias.sum()

    torch.manual_seed(0)
    model = TwoLosses(1, 1)
    expected = nn.functional.binary_cross_entropy(model({"x": X})[0], Y) + model.bias.sum()
    trainer = CTRTrainer(model, loss_mode=False, model_path=tmp_path)
    assert trainer.train_one_epoch(PASS) == pytest.approx(expected.item(), rel=1e-6)
    assert trainer.evaluate(model, PASS) in (0.25, 0.75)


def test_regularization_by_hand(tmp_path):
    class Undecided(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding.from_pretrained(torch.tensor([[1.0], [-2.0]]), freeze=False)
            self.dense = nn.Parameter(torch.tensor(3.0))

        def forward(self, inputs):
            return torch.full((4,), 0.5)

    factors = {"embedding_l1": 0.1, "embedding_l2": 0.01, "dense_l1": 0.2, "dense_l2": 0.02}
    trainer = CTRTrainer(Undecided(), regularization_params=factors, model_path=tmp_path)
    # The loss of a coin is ln 2;  |1| + |-2| = 3, 1 + 4 = 5, |3| = 3, 9.
    expected = math.log(2) + 0.1 * 3 + 0.01 * 5 + 0.2 * 3 + 0.02 * 9
    assert trainer.train_one_epoch(PASS) == pytest.approx(expected)


def test_learning_rate_is_stepped_once_an_epoch(tmp_path):
    trainer = CTRTrainer(
        Counter([1, 1, 1]),
        optimizer_fn=torch.optim.SGD,
        optimizer_params={"lr": 1.0},
        scheduler_fn=torch.optim.lr_scheduler.StepLR,
        scheduler_params={"step_size": 2, "gamma": 0.1},
        n_epoch=3,
        model_path=tmp_path,
    )
    trainer.fit(PASS)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gpus": [0, 1]}, r"gpus \[0, 1\]: one process takes one GPU"),
        ({"regularization_params": {"l2": 1.0}}, r"\['l2'\] are none of"),
    ],
)
def test_impossible_trainers_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CTRTrainer(Counter([1]), **options)


def test_a_model_that_is_no_din_can_be_trained_but_not_exported(tmp_path):
    with pytest.raises(TypeError, match="only a DIN can be exported or drawn, not Counter"):
        CTRTrainer(Counter([1])).export_onnx(tmp_path / "model.onnx")


def small_din():
    item = SparseFeature("target_item_id", 5, 2)
    history = SequenceFeature("hist_item_id", 5, 2, "concat", shared_with="target_item_id")
    return DIN([], [history], [item], {"dims": [3]}, {"dims": [3]})


def test_a_fixed_batch_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="exported graphs always take any batch"):
        ONNXExporter(small_din()).export(tmp_path / "model.onnx", dynamic_batch=False)


def test_another_kind_of_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg or \.pdf, not '\.gif'"):
        visualize_model(small_din(), tmp_path / "model.gif")
    assert "units.0.mlp" in visualize_model(small_din()).source


def test_the_documented_script_runs_as_it_stands(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    if shutil.which("dot") is None:
        code = re.sub(r"^visualize_model\(.*\n", "", code, flags=re.MULTILINE)
    random = np.random.default_rng(0)
    pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(30), 6),
            "item_id": random.integers(0, 40, 180),
            "cate_id": 0,
            "time": np.tile(np.arange(6), 30),
        }
    ).to_csv(tmp_path / "interactions.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "as_a_library.md", "exec"), names)  # the text itself is under test
    assert 0.0 <= names["test_auc"] <= 1.0
    assert {path.name for path in Path("din").iterdir()} >= {"model.safetensors", "model.onnx"}
    assert len(names["test"]) == 60
