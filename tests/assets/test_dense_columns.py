"""Numbers from the log to the served graph, by one run of all between."""

import onnxruntime
import pandas as pd
import pytest

from tests.assets.test_serving import example_for


def test_numbers_go_from_the_log_to_the_served_graph(labelled):
    [made] = [
        each
        for each in labelled.result.asset_materializations_for_node("interactions")
        if each.asset_key.path == ["interactions"]
    ]
    remarks = " ".join(made.metadata["remarks"].value)
    assert "'price' is no finite number in 1 of 540 rows (first " in remarks
    assert " line 2: 'cheap')" in remarks
    prices = "select price from items where item_id in ('ä1', 'ä5') order by item_id"
    assert labelled.query(prices) == [(1.5,), (None,)]

    folder = labelled.home / "artifacts" / "onnx_model" / labelled.versions()["onnx_model"]
    types = {
        each.name: each.type
        for each in onnxruntime.InferenceSession(folder / "din.onnx").get_inputs()
    }
    assert [types[name] for name in ("target_price", "age", "hour")] == ["tensor(float)"] * 3
    assert "price" in pd.read_parquet(folder / "vocabulary" / "items.parquet")
    assert "age" in pd.read_parquet(folder / "vocabulary" / "users.parquet")

    score = example_for(labelled)["probabilities"]
    samples = labelled.query(
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
