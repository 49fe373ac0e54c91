"""Numbers from the log to the served graph, by one run of all between."""

import random

import onnxruntime
import pandas as pd
import pytest

from tests.assets.conftest import up_to, write_rows
from tests.assets.test_serving import example_for

HEADER = "user_id,item_id,time,cate_id,price,age,hour"


def rows(n_users=40):
    """Each item has a price but every fifth; one row has none that can be read."""
    chance = random.Random(3)
    for user in range(n_users):
        for step in range(7):
            item = chance.randrange(30)
            price = "" if item % 5 == 0 else f"{item}.5"
            yield f"{user},{item},{step},{item % 3},{price},{20 + user},{chance.randrange(24)}"
    yield f"{n_users},1,1,1,cheap,50,3"


@pytest.mark.usefixtures("without_pictures")
def test_numbers_go_from_the_log_to_the_served_graph(pipeline, tmp_path, monkeypatch):
    log = write_rows(tmp_path / "log.csv", *rows(), header=HEADER)
    monkeypatch.setenv("DIN_CSV", str(log))
    pipeline.config["ops"]["interactions"] = {
        "config": {
            "item_dense_cols": ["price"],
            "user_dense_cols": ["age"],
            "context_dense_cols": ["hour"],
        }
    }
    result = pipeline.run(*up_to("onnx_model", "model_versions"))
    assert result.success
    [made] = [
        each
        for each in result.asset_materializations_for_node("interactions")
        if each.asset_key.path == ["interactions"]
    ]
    remarks = " ".join(made.metadata["remarks"].value)
    assert (
        "'price' is no finite number in 1 of 281 rows (first log.csv line 282: 'cheap')" in remarks
    )
    assert pipeline.query("select price from items where item_id in (1, 5) order by item_id") == [
        (1.5,),
        (None,),
    ]

    folder = pipeline.home / "artifacts" / "onnx_model" / pipeline.versions()["onnx_model"]
    types = {
        each.name: each.type
        for each in onnxruntime.InferenceSession(folder / "din.onnx").get_inputs()
    }
    assert [types[name] for name in ("target_price", "age", "hour")] == ["tensor(float)"] * 3
    assert "price" in pd.read_parquet(folder / "vocabulary" / "items.parquet")
    assert "age" in pd.read_parquet(folder / "vocabulary" / "users.parquet")

    score = example_for(pipeline)["probabilities"]
    samples = pipeline.query(
        """
        select user_id, item_id, score, hist_item_id, target_price, hour
        from test_predictions
        join users using (user_idx)
        join items on target_item_idx = item_idx
        join samples using (user_id, position, label)
        where split = 'test' and target_item_id = item_id
        order by all limit 40
        """
    )
    assert any(price is None for *_, price, _ in samples)
    for user, item, expected, history, _, hour in samples:
        served = score(user, history, [item], hour=hour)  # the others stand in the graph
        assert served[0] == pytest.approx(expected, abs=1e-6)
