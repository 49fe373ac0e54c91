"""How large tables lie in memory."""

import torch

from din_core.network.hardware import empty_table


def test_a_large_table_is_one_like_any_other():
    table = empty_table(1 << 20, 4).zero_()
    assert table.is_contiguous()
    table[torch.tensor([0, (1 << 20) - 1])] = 1.0
    assert table.sum() == 8.0


def test_small_and_empty_tables_have_their_shape_and_type():
    assert empty_table(0, 3).shape == (0, 3)
    assert empty_table(2, 3, dtype=torch.float64).dtype == torch.float64
