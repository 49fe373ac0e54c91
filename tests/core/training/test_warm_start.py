"""What a training takes over from another model: rows by id, columns by name, or nothing, said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from din_core.config import (
    BaseModelConfig,
    DINConfig,
    OptionsError,
    PNNConfig,
    TrainingConfig,
    validate,
)
from din_core.inputs.epochs import EpochPlanner
from din_core.network.features import Normalization
from din_core.network.models import build_model
from din_core.network.tensor_hash import tensors_hash
from din_core.network.vocabulary import Vocabulary
from din_core.training import loop
from din_core.training.learner import Learner
from din_core.training.warm_start import Predecessor, UnfitPredecessorError, take_over
from tests.core.training_logs import planted_log

DIN_OPTIONS = {"embed_dim": 2, "mlp_dims": (3,), "attention_dims": (3,), "use_user": False}
MODELS = {
    "din": DINConfig(**DIN_OPTIONS),
    "din, joint, products": DINConfig(**DIN_OPTIONS, attention="joint", product_inputs=True),
    "base_model": BaseModelConfig(embed_dim=2, mlp_dims=(3,), use_user=False),
    "pnn, inner": PNNConfig(embed_dim=2, mlp_dims=(3,), use_user=False),
    "pnn, elementwise": PNNConfig(
        embed_dim=2, mlp_dims=(3,), use_user=False, product_layer="elementwise"
    ),
}


def vocabulary(n_items=4, attributes=("cate_idx",), **others):
    return Vocabulary(
        n_users=3, n_items=n_items, item_attributes=dict.fromkeys(attributes, 2), **others
    )


def built(config, of, seed=0):
    torch.manual_seed(seed)
    model = build_model(config, of)
    with torch.no_grad():  # every weight a number of its own, whatever the initial spread is
        for weight in model.parameters():
            weight.normal_()
        for _, table in model.embedding.tables():
            table.weight[0] = 0.0
    return model.eval()


def predecessor(model, config, rows, **others):
    return Predecessor(
        version="v1", model=model, config=config, rows=rows,
        tensors_hash=tensors_hash(model.state_dict()), **others,
    )  # fmt: skip


def rows_of(items, attributes=("cate_idx",)):
    rows = {"item_idx": items, **{name: [0, 1, 2] for name in attributes}}
    return {
        f"{side}_{column}": np.array(each)
        for column, each in rows.items()
        for side in ("target", "hist")
    }


def logits(model, **inputs):
    with torch.no_grad():
        return model.logits(
            model.as_batch({name: torch.as_tensor(each) for name, each in inputs.items()})
        )


def asked(items, cates):
    """Two samples: item 1 after items 2, 3 and item 2 after item 1, by what their indices are."""
    return {
        "target_item_idx": [items[1], items[2]],
        "target_cate_idx": [cates[1], cates[2]],
        "hist_item_idx": [[items[2], items[3]], [items[1], 0]],
        "hist_cate_idx": [[cates[2], cates[1]], [cates[1], 0]],
    }


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_known_ids_are_answered_as_before_wherever_their_indices_went(config):
    old = built(config, vocabulary(n_items=3), seed=1)
    new = built(config, vocabulary(n_items=5), seed=2)
    fresh = new.embedding.table(new.embedding.features[0]).weight.detach().clone()
    # The items 1, 2, 3 stand at 4, 1, 5 today; 2 and 3 are new. The categories changed places.
    rows = rows_of([0, 2, 0, 0, 1, 3])
    rows |= {name: np.array([0, 2, 1]) for name in rows if "cate" in name}

    taken = take_over(new, config, predecessor(old, config, rows, epochs=7))

    torch.testing.assert_close(
        logits(new, **asked([0, 4, 1, 5], [0, 2, 1])), logits(old, **asked([0, 1, 2, 3], [0, 1, 2]))
    )
    assert taken.rows == {"target_item_idx": (3, 5), "target_cate_idx": (2, 2)}
    assert taken.shares() == {"target_item_idx": 0.6, "target_cate_idx": 1.0}
    assert taken.first_epoch == 7
    # By these the averages of the weights know which rows have no past.
    new_rows = {name: each.tolist() for name, each in taken.new_rows.items()}
    assert new_rows == {"target_item_idx": [2, 3], "target_cate_idx": []}
    table = new.embedding.table(new.embedding.features[0]).weight
    assert torch.equal(table[[2, 3]], fresh[[2, 3]])
    assert not table[0].any()


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_columns_of_inputs_that_both_have_go_to_their_places(config):
    # `brand` comes in before `cate`, and moves all columns behind it.
    old = built(config, vocabulary(), seed=1)
    new = built(config, vocabulary(attributes=("brand_idx", "cate_idx")), seed=2)
    taken = take_over(new, config, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))
    assert list(taken.new_inputs) == ["target_brand_idx", "hist_brand_idx"]

    # Where the brand says nothing (its index is 0, a zero vector) all is as it was.
    inputs = asked([0, 1, 2, 3], [0, 1, 2])
    unknown = {"target_brand_idx": [0, 0], "hist_brand_idx": [[0, 0], [0, 0]]}
    torch.testing.assert_close(logits(new, **inputs, **unknown), logits(old, **inputs))

    # And back: what only the predecessor has is left behind.
    again = built(config, vocabulary(), seed=3)
    gone = take_over(again, config, predecessor(new, config, rows_of([0, 1, 2, 3, 4])))
    assert list(gone.gone_inputs) == ["target_brand_idx", "hist_brand_idx"]
    torch.testing.assert_close(logits(again, **inputs), logits(old, **inputs))


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_every_column_of_a_layer_that_takes_inputs_has_one_name(config):
    numbers = {"price": Normalization(mean=1.0, std=2.0)}
    model = built(config, vocabulary(attributes=("cate_idx", "brand_idx"), item_dense=numbers))
    named = model.input_columns().blocks
    assert "mlp.layers.0.weight" in named
    for name, blocks in named.items():
        assert sum(block.width for block in blocks) == model.get_parameter(name).shape[1]
        assert len({block.name for block in blocks}) == len(blocks)


def test_separate_history_embeddings_start_from_the_shared_ones():
    config = MODELS["din"]
    separate = dataclasses.replace(config, history_embeddings="separate")
    old, new = built(config, vocabulary(), 1), built(separate, vocabulary(), 2)
    taken = take_over(new, separate, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))
    assert set(taken.rows) >= {"target_item_idx", "hist_item_idx"}
    inputs = asked([0, 1, 2, 3], [0, 1, 2])
    torch.testing.assert_close(logits(new, **inputs), logits(old, **inputs))


def test_a_number_means_what_it_meant_though_it_is_measured_by_others():
    config = MODELS["din"]
    was = {"price": Normalization(mean=10.0, std=2.0, has_missing=True)}
    now = {"price": Normalization(mean=16.0, std=5.0, has_missing=True)}
    old = built(config, vocabulary(item_dense=was), 1)
    new = built(config, vocabulary(item_dense=now), 2)
    take_over(new, config, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))
    inputs = asked([0, 1, 2, 3], [0, 1, 2])
    for price in (3.0, float("nan")):
        prices = {"target_price": [price, 12.5]}
        torch.testing.assert_close(logits(new, **inputs, **prices), logits(old, **inputs, **prices))


def test_running_statistics_of_dice_are_taken_over():
    config = MODELS["din"]
    old, new = built(config, vocabulary(), 1), built(config, vocabulary(), 2)
    old.mlp.activations[0].track(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0]), 9)
    take_over(new, config, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))
    dice = new.mlp.activations[0]
    assert (dice.running_mean.tolist(), int(dice.n_updates)) == ([1.0, 2.0, 3.0], 1)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (dataclasses.replace(MODELS["din"], embed_dim=4), "v1 has embed_dim 4, and embed_dim is 2"),
        (
            dataclasses.replace(MODELS["din"], attention_dims=(5, 3)),
            r"v1 has attention_dims \[5, 3\], and attention_dims is \[3\]",
        ),
        (MODELS["base_model"], "model v1 is a base_model, and model is 'din'"),
    ],
)
def test_another_network_is_refused_and_nothing_is_touched(other, sentence):
    config = MODELS["din"]
    old, new = built(other, vocabulary(), 1), built(config, vocabulary(), 2)
    before = tensors_hash(new.state_dict())
    with pytest.raises(UnfitPredecessorError, match=sentence):
        take_over(new, config, predecessor(old, other, rows_of([0, 1, 2, 3, 4])))
    assert tensors_hash(new.state_dict()) == before


def test_model_that_does_not_name_its_columns_needs_the_same_inputs(monkeypatch):
    config = MODELS["base_model"]
    monkeypatch.setattr("din_core.network.models.BaseModel.input_columns", lambda self: None)
    old, same = built(config, vocabulary(), 1), built(config, vocabulary(), 2)
    take_over(same, config, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))
    inputs = asked([0, 1, 2, 3], [0, 1, 2])
    torch.testing.assert_close(logits(same, **inputs), logits(old, **inputs))
    more = built(config, vocabulary(attributes=("cate_idx", "brand_idx")), 3)
    with pytest.raises(UnfitPredecessorError, match=r"are target_item_idx, .*input_columns"):
        take_over(more, config, predecessor(old, config, rows_of([0, 1, 2, 3, 4])))


def test_fingerprint_tells_what_is_taken_over_from_where():
    config = MODELS["din"]
    start = predecessor(built(config, vocabulary(), 1), config, rows_of([0, 1, 2, 3, 4]))
    others = [
        dataclasses.replace(start, rows=rows_of([0, 2, 1, 3, 4])),
        dataclasses.replace(start, tensors_hash="another"),
        dataclasses.replace(start, epochs=1),
    ]
    same = dataclasses.replace(start, rows=dict(reversed(start.rows.items())))
    assert same.fingerprint() == start.fingerprint()
    assert len({each.fingerprint() for each in (start, *others)}) == 4


# --- the training itself ---

NETWORK = DINConfig(embed_dim=4, mlp_dims=(8,), attention_dims=(8,), embedding_init_std=0.05)
LOOP = TrainingConfig(
    n_epoch=3, batch_size=128, learning_rate=0.01, negatives="redrawn", ema_decay=0.9,
    fused=False, num_threads=1, warm_start="last", checkpoint_seconds=1e-9,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return planted_log(n_users=20)


@pytest.fixture(scope="module")
def cold(data):
    return loop.train(NETWORK, LOOP, data)


def going_on(data, trained):
    sizes = {"target_item_idx": data.vocabulary.n_items, "user_idx": data.vocabulary.n_users}
    sizes |= {"target_cate_idx": 2}
    rows = {name: np.arange(size + 1) for name, size in sizes.items()}
    rows["target_item_idx"][[3, 7]] = 0  # two items of twenty are new
    return predecessor(trained.model, NETWORK, rows, epochs=trained.epochs_so_far)


def hash_of(trained):
    return tensors_hash(trained.model.state_dict())


def test_training_goes_on_in_epochs_of_its_own(data, cold, monkeypatch):
    plan, planned = EpochPlanner.plan, []
    monkeypatch.setattr(
        EpochPlanner, "plan", lambda self, epoch: planned.append(epoch) or plan(self, epoch)
    )
    config = dataclasses.replace(LOOP, warm_start_epochs=2)
    warm = loop.train(NETWORK, config, data, predecessor=going_on(data, cold))
    # No order and no redrawn negative is that of an epoch before.
    assert planned == [3, 4]
    assert warm.epochs_so_far == 5
    assert [report.n_epoch for report in warm.history] == [2, 2]
    assert warm.metrics()["warm_started_from"] == "v1"
    assert warm.metrics()["taken_over_target_item_idx"] == 0.9
    assert hash_of(loop.train(NETWORK, config, data, predecessor=going_on(data, cold))) == hash_of(
        warm
    )


def test_unfit_predecessor_is_said_and_training_is_that_from_random_weights(data, cold):
    other = dataclasses.replace(NETWORK, embed_dim=2)
    config = dataclasses.replace(LOOP, warm_start_epochs=1)
    said = []
    trained = loop.train(
        other, config, data, predecessor=going_on(data, cold), on_warning=said.append
    )
    assert "random weights, with all epochs of n_epoch: model v1 has embed_dim 4" in said[0]
    assert trained.taken_over is None
    assert "warm_started_from" not in trained.metrics()
    assert len(trained.history) == 3
    assert hash_of(trained) == hash_of(loop.train(other, config, data))


class PulledPlugError(Exception):
    pass


def test_run_stopped_after_any_step_ends_with_the_same_weights(data, cold, tmp_path, monkeypatch):
    config = dataclasses.replace(LOOP, warm_start_epochs=2)
    start = going_on(data, cold)
    whole = loop.train(NETWORK, config, data, predecessor=start)
    step = Learner.step
    for stop in range(1, 6):
        done = []

        def interrupted(self, *arguments, done=done, stop=stop):
            if len(done) == stop:
                raise PulledPlugError
            done.append(1)
            return step(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Learner, "step", interrupted)
            with pytest.raises(PulledPlugError):
                loop.train(NETWORK, config, data, predecessor=start, checkpoint_dir=tmp_path)
        resumed = loop.train(NETWORK, config, data, predecessor=start, checkpoint_dir=tmp_path)
        assert hash_of(resumed) == hash_of(whole)
        (tmp_path / "checkpoint.safetensors").unlink()


def test_checkpoint_of_a_training_from_another_model_is_not_gone_on_from(data, cold, tmp_path):
    config = dataclasses.replace(LOOP, warm_start_epochs=1)
    loop.train(NETWORK, config, data, predecessor=going_on(data, cold), checkpoint_dir=tmp_path)
    other = dataclasses.replace(going_on(data, cold), epochs=9)
    said = []
    again = loop.train(
        NETWORK, config, data, predecessor=other, checkpoint_dir=tmp_path, on_warning=said.append
    )
    assert "belongs to other data, options, code or circumstances" in said[0]
    assert hash_of(again) == hash_of(loop.train(NETWORK, config, data, predecessor=other))


def test_epochs_of_a_warm_start_need_one():
    with pytest.raises(OptionsError, match="warm_start_epochs is 2, but warm_start is 'none'"):
        validate(TrainingConfig(warm_start_epochs=2))
