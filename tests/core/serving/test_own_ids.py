"""A saved model is asked by id: it answers about a log in other indices, or refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from din_core.config import DINConfig, SequenceConfig, SourceConfig
from din_core.inputs import times
from din_core.network.models import build_model
from din_core.serving import own_ids, vocabularies
from din_core.serving.saved_models import load_model, save_model
from din_core.tables import known_ids, sequences
from din_core.training.prediction import predict

SOURCE = SourceConfig(
    path="",
    item_attribute_cols=("cate_id",),
    user_attribute_cols=("age",),
    item_dense_cols=("price",),
    user_dense_cols=("height",),
)
#: user, item, cate, age: each user's events in their order.
LOG = [
    (user, f"i{item}", f"c{item % 4}", f"a{3 * n % 4}")
    for n, user in enumerate(["u5", "u6", "u7", "u8"])
    for item in ((3 * place + ord(user[1])) % 9 for place in range(6))
]


def read(con, rows):
    con.execute(
        "create or replace table interactions (user_id varchar, item_id varchar, cate_id varchar, "
        "age varchar, price double, height double, time bigint, file varchar, line bigint)"
    )
    con.executemany(
        "insert into interactions values (?, ?, ?, ?, ?, ?, ?, 'log', ?)",
        [
            [user, item, cate, age, int(item[1:]) ** 2, int(user[1:]), 100_000 * number, number]
            for number, (user, item, cate, age) in enumerate(rows)
        ],
    )
    sequences.build(con, SOURCE, SequenceConfig(), grows=True, in_ids=True)


def saved_for(con, folder, **options):
    """A model of random weights, saved with the vocabularies of the tables as they are."""
    torch.manual_seed(1)
    config = DINConfig(
        embed_dim=4, mlp_dims=(8,), attention_dims=(4,), embedding_init_std=1.0, **options
    )
    data = times.load_for(con, config.log_numbers)
    model = build_model(config, data.vocabulary)
    folder.mkdir()
    vocabularies.write(con, folder, with_users=True)
    save_model(folder, model, config, data.vocabulary)
    return load_model(folder)


def answers(con, score):
    """Scores of the positives of all splits, by user, item and history in ids."""
    found = {}
    for split in ("train", "val", "test"):
        con.register("scored", score(split))
        rows = con.execute(
            "select user_id, target_item_id, hist_item_id, score from scored "
            "join users using (user_idx) "
            "join samples using (user_id, position) "
            "where scored.k = 0 and samples.label = 1"
        ).fetchall()
        con.unregister("scored")
        found |= {(user, item, tuple(history)): score for user, item, history, score in rows}
    return found


def by_id(con, saved, folder):
    return answers(con, lambda split: own_ids.predict_by_id(con, saved, folder, split))


# Without numbers of the log there is less that could move; `test_yesterdays_model_answers_...` has
# none either.
@pytest.mark.parametrize(
    "log_numbers",
    [("popularity", "days_since_last_event"), pytest.param((), marks=pytest.mark.thorough)],
)
def test_answers_are_the_same_when_all_indices_have_moved(con, tmp_path, log_numbers):
    read(con, [row for row in LOG if row[0] > "u5" and row[1] > "i4"])
    read(con, LOG)
    saved = saved_for(con, tmp_path / "model", use_user=True, log_numbers=log_numbers)
    before = by_id(con, saved, tmp_path / "model")
    own_ids.require_own_ids(con, tmp_path / "model", saved.vocabulary)
    known_ids.forget(con)
    read(con, LOG)

    after = by_id(con, saved, tmp_path / "model")
    assert after.keys() == before.keys()
    assert len(after) == len(LOG) - 4
    assert [after[key] for key in before] == pytest.approx([*before.values()], abs=1e-6)

    # The indices have moved: read as its own, they are other items' rows.
    data = times.load_for(con, log_numbers)
    as_they_are = answers(con, lambda split: predict(saved.model, data, split))
    assert not np.allclose([as_they_are[key] for key in before], [*before.values()], atol=1e-2)
    with pytest.raises(own_ids.OtherIdsError, match=r"index \d of item stands for another id"):
        own_ids.require_own_ids(con, tmp_path / "model", saved.vocabulary)


def test_yesterdays_model_answers_about_a_grown_log_and_new_ids_are_unknown_to_it(con, tmp_path):
    read(con, LOG)
    saved = saved_for(con, tmp_path / "model", use_user=True)
    before = by_id(con, saved, tmp_path / "model")
    old_events = [row[1] for row in LOG if row[0] == "u5"]
    # A new item sorts before all others; a known one comes behind it.
    read(con, [*LOG, ("u5", "a0", "b0", "a0"), ("u5", "i1", "c1", "a0"), ("a1", "a0", "b0", "a9")])

    after = by_id(con, saved, tmp_path / "model")
    of_others = [key for key in before if key[0] != "u5"]
    assert [after[key] for key in of_others] == pytest.approx([before[k] for k in of_others])
    # The new item is left out of the history, as a server leaves it out.
    with_new = after["u5", "i1", (*old_events, "a0")]
    read(con, [*LOG, ("u5", "i1", "c1", "a0")])
    assert with_new == pytest.approx(
        by_id(con, saved, tmp_path / "model")["u5", "i1", tuple(old_events)]
    )
    with pytest.raises(own_ids.OtherIdsError, match="it knows 9 indices of item, and the tables"):
        own_ids.require_own_ids(con, tmp_path / "model", saved.vocabulary)


def test_column_that_the_model_takes_and_the_log_lacks_is_named(con, tmp_path):
    read(con, LOG)
    saved = saved_for(con, tmp_path / "model")
    sequences.build(con, SourceConfig(path=""), SequenceConfig(), grows=True, in_ids=True)
    with pytest.raises(own_ids.OtherIdsError, match="din_model takes age_idx, and no column"):
        own_ids.predict_by_id(con, saved, tmp_path / "model")
