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

from din_core.tutorial import (
    CTRTrainer,
    DataGenerator,
)
from tests.core.tutorial.tutorial_logs import small_din

DOCUMENT = Path(__file__).parents[3] / "docs" / "port-from-torch-rechub.md"


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


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ({"id": [1.0, np.nan]}, [0, 1], "id is nan in row 1; fill it"),
        ({"id": ["a", "b"]}, [0, 1], "id is of type <U1, not of numbers"),
        ({"hist": [[1], [1, 2]]}, [0, 1], "hist holds lists of different lengths"),
        ({"id": [1, 2]}, [1, 5], "y: label 5 in row 1 is not within 0 … 1"),
        ({"id": [1, 2]}, [1, -1], "y: label -1 in row 1 is not within 0 … 1"),
        ({"id": [1, 2]}, [1, None], "y is nan in row 1|y is of type object"),
    ],
)
def test_what_is_no_number_is_refused(x, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        DataGenerator(x, y)


def test_two_ways_to_split_are_refused():
    x, y = {"id": np.arange(4)}, np.zeros(4)
    with pytest.raises(ValueError, match="split_ratio and x_val: split_ratio draws"):
        DataGenerator(x, y).generate_dataloader(x_val=x, split_ratio=[0.5, 0.2])


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
        ({"scheduler_params": {"gamma": 0.1}}, r"scheduler_params \{'gamma': 0.1\} without"),
        ({"scheduler_fn": torch.optim.lr_scheduler.ReduceLROnPlateau}, "steps on a metric"),
    ],
)
def test_impossible_trainers_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CTRTrainer(Counter([1]), **options)


def test_a_din_with_a_further_loss_is_refused():
    with pytest.raises(ValueError, match="loss_mode=False: a DIN returns no further loss"):
        CTRTrainer(small_din(), loss_mode=False)


def test_optimizer_params_that_are_empty_leave_the_optimizers_own_defaults():
    group = CTRTrainer(Counter([1]), optimizer_params={}).optimizer.param_groups[0]
    assert group["weight_decay"] == 0
    assert CTRTrainer(Counter([1])).optimizer.param_groups[0]["weight_decay"] == 1e-5


def test_trainer_takes_no_more_threads_than_there_are_cores(monkeypatch, tmp_path):
    class Watching(Counter):
        def forward(self, inputs):
            seen.append(torch.get_num_threads())
            return super().forward(inputs)

    def seen_by(work):
        seen.clear()
        work()
        return set(seen)

    seen = []
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        trainer = CTRTrainer(Watching([1, 1, 1, 1]), n_epoch=1, model_path=tmp_path)
        for cores, threads in ((2, 2), (64, 3)):  # fewer than torch's own choice; more
            monkeypatch.setattr("din_core.machine.limits.cores", lambda cores=cores: cores)
            assert seen_by(lambda: trainer.fit(PASS, PASS)) == {threads}
            assert seen_by(lambda: trainer.train_one_epoch(PASS)) == {threads}
            assert seen_by(lambda: trainer.evaluate(trainer.model, PASS)) == {threads}
            assert seen_by(lambda: trainer.predict(trainer.model, PASS)) == {threads}
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_trainer_says_that_torch_was_loaded_too_early(monkeypatch, caplog):
    monkeypatch.setattr("din_core.machine.spinning._too_late", True)
    CTRTrainer(Counter([1]))
    assert "torch was imported before din_core" in caplog.text


def test_no_patience_stops_at_the_first_epoch_that_is_no_better(tmp_path):
    model = Counter([-1, 1, 1, 1])
    CTRTrainer(model, n_epoch=4, earlystop_patience=0, model_path=tmp_path).fit(PASS, PASS)
    assert int(model.epoch) == 2  # the third was run, and the second restored


def test_normalisation_layers_are_not_regularized(tmp_path):
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1)
            self.frozen = nn.Parameter(torch.tensor(5.0), requires_grad=False)
            self.dense = nn.Parameter(torch.tensor(3.0))

        def forward(self, inputs):
            return torch.full((4,), 0.5) + 0 * self.dense

    trainer = CTRTrainer(Normalised(), regularization_params={"dense_l1": 0.1}, model_path=tmp_path)
    assert trainer.train_one_epoch(PASS) == pytest.approx(math.log(2) + 0.1 * 3)


def test_losses_are_logged_every_so_many_batches(tmp_path, caplog):
    trainer = CTRTrainer(Counter([1]), model_path=tmp_path)
    with caplog.at_level(logging.DEBUG, "din_core.tutorial.trainer"):
        trainer.train_one_epoch(PASS * 5, log_interval=2)
    assert [each.message.split(":")[0] for each in caplog.records] == ["batch 2", "batch 4"]


def test_a_model_that_is_no_din_can_be_trained_but_not_exported(tmp_path):
    with pytest.raises(
        TypeError, match="only a ClickModel, such as DIN, can be exported or drawn, not Counter"
    ):
        CTRTrainer(Counter([1])).export_onnx(tmp_path / "model.onnx")


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
