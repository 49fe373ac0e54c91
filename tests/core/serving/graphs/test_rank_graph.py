"""How many candidates of a ranking are computed at a time."""

from __future__ import annotations

import pytest

from din_core.config import BaseModelConfig, DINConfig
from din_core.network.models import build_model
from din_core.presets import BEST, TUTORIAL
from din_core.serving.graphs.rank_graph import rows_of_a_block
from tests.core.serving.graphs.tiny_bundles import PLAIN


@pytest.mark.parametrize(
    ("config", "max_history", "n_rows"),
    [
        pytest.param(TUTORIAL.model, 50, 10, id="128,000 numbers: 10 rows of 50 times 256"),
        pytest.param(BEST.model, 50, 128, id="no Dice: 409,600 numbers, 128 rows of 50 times 64"),
        pytest.param(TUTORIAL.model, 1000, 8, id="the least"),
        pytest.param(BaseModelConfig(), 50, 512, id="the most"),
        pytest.param(
            DINConfig(embed_dim=32, attention="joint"), 50, 32, id="half of two embeddings' width"
        ),
        pytest.param(DINConfig(embed_dim=1024, attention="joint"), 50, 512, id="no more than that"),
    ],
)
def test_a_block_holds_what_a_cache_holds(config, max_history, n_rows):
    assert rows_of_a_block(build_model(config, PLAIN), max_history) == n_rows
