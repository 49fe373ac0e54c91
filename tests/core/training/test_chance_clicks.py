"""Whether anything leaks: where clicks are chance, no model can know which rows were clicked."""

import numpy as np
import pytest

from din_core import metrics, store
from din_core.config import DINConfig, SequenceConfig, SourceConfig, TrainingConfig
from din_core.inputs import training_data
from din_core.tables import sequences
from din_core.training import loop, prediction

N_USERS, N_LISTS, LIST_LENGTH, N_CATES, ITEMS_PER_CATE = 5_500, 6, 5, 20, 50


def create_lists_with_chance_clicks(con, seed=0):
    """Lists of one category each, shown at one second each; one row of it is clicked, or none.

    Whoever sees the click of a list knows that the other rows of that category were not clicked.
    """
    rng = np.random.default_rng(seed)
    shape = (N_USERS, N_LISTS, LIST_LENGTH)
    user = np.broadcast_to(np.arange(N_USERS)[:, None, None], shape)
    time = np.broadcast_to(np.arange(N_LISTS)[None, :, None], shape)
    cate = np.broadcast_to(rng.integers(N_CATES, size=shape[:2])[:, :, None], shape)
    # Numbers from LIST_LENGTH on are no row's: one list in six has no click.
    clicked = rng.integers(LIST_LENGTH + 1, size=(*shape[:2], 1))
    columns = {  # noqa: F841 (DuckDB finds it by its name)
        "user_id": user.ravel(),
        "item_id": (cate * ITEMS_PER_CATE + rng.integers(ITEMS_PER_CATE, size=shape)).ravel(),
        "time": time.ravel(),
        "cate_id": cate.ravel(),
        "label": (np.arange(LIST_LENGTH) == clicked).astype(np.int64).ravel(),
        "line": np.arange(user.size),
    }
    con.execute("create table interactions as select *, 'log.csv' as file from columns")


@pytest.fixture(scope="module")
def con():
    with store.connect(":memory:", threads=1) as connection:
        create_lists_with_chance_clicks(connection)
        sequences.build(connection, SourceConfig(path=""), SequenceConfig())
        yield connection


def assert_is_chance(label, score):
    n_positives, n_negatives = int((label == 1).sum()), int((label == 0).sum())
    # The standard deviation of an AUC where scores and labels have nothing to do with each other.
    deviation = ((n_positives + n_negatives + 1) / (12 * n_positives * n_negatives)) ** 0.5
    assert 4 * deviation < 0.02
    assert abs(metrics.auc(label, score) - 0.5) < 0.02


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_no_history_knows_the_category_of_a_list_that_was_shown_at_once(con, split):
    rows = con.execute(
        "select label, -len(list_filter(hist_cate_idx, lambda cate: cate = target_cate_idx)) "
        "as score from encoded_samples where split = ?",
        [split],
    ).fetchnumpy()
    assert_is_chance(rows["label"], rows["score"])


def test_no_length_of_a_history_tells_a_click(con):
    # Leave-one-out holds out by the clock of the user, which says nothing about what was clicked.
    rows = con.execute(
        "select label, history_end - history_start as score from sample_bounds where split = 'test'"
    ).fetchnumpy()
    assert_is_chance(rows["label"], rows["score"])


def test_no_history_knows_within_a_user_what_was_clicked(con):
    # Where a split begins with a click, all that comes later is unclicked and knows one event more.
    rows = con.execute(
        "select user_idx, label, history_end - history_start as score "
        "from sample_bounds where split = 'test'"
    ).fetchnumpy()
    assert metrics.gauc(rows["label"], rows["score"], rows["user_idx"]) == 0.5


# Where more is clicked, histories grow by more events a row: the same leak, and another length.
# Where users are chosen by how often they clicked, those with a short history click in test.
@pytest.mark.parametrize(
    ("clicked", "least"), [(0.15, 0), (0.15, 5), pytest.param(0.35, 0, marks=pytest.mark.thorough)]
)
def test_no_history_knows_a_click_among_rows_of_their_own_time(clicked, least):
    rng = np.random.default_rng(0)
    user, time = (each.ravel() for each in np.mgrid[:34_000, :12])
    columns = {  # noqa: F841 (DuckDB finds it by its name)
        "user_id": user,
        "item_id": rng.integers(500, size=user.size),
        "time": time,
        "cate_id": rng.integers(20, size=user.size),
        "label": (rng.random(user.size) < clicked).astype(np.int64),
        "line": np.arange(user.size),
    }
    with store.connect(":memory:", threads=1) as con:
        con.execute("create table interactions as select *, 'log.csv' as file from columns")
        sequences.build(con, SourceConfig(path=""), SequenceConfig(min_interactions=least))
        rows = con.execute(
            "select label, history_end - history_start as score "
            "from sample_bounds where split = 'test'"
        ).fetchnumpy()
    assert_is_chance(rows["label"], rows["score"])


def test_no_network_can_tell_chance_clicks_apart(con):
    data = training_data.load(con)
    network = DINConfig(
        embed_dim=8, mlp_dims=(16,), attention_dims=(8,), activation="relu", product_inputs=True
    )
    # Enough steps to reach 0.61 where histories hold clicks of the same moment on earlier lines.
    config = TrainingConfig(n_epoch=2, batch_size=2048, learning_rate=0.05)
    trained = loop.train(network, config, data)
    scores = prediction.predict(trained.model, data, "test")
    assert_is_chance(scores["label"].to_numpy(), scores["score"].to_numpy())
