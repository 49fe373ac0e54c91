"""Two processes on half a batch each make the steps of one on the whole batch."""

import pytest
import torch
from safetensors.torch import load_file

from din_core.config import DINConfig, TrainingConfig
from din_core.training import distributed
from din_core.training.loop import train
from tests.core.training_logs import planted_log
from tests.core.two_processes import assert_weights_agree, run_in_two_processes

MODEL = DINConfig(
    embed_dim=4,
    mlp_dims=(16,),
    attention_dims=(8, 8),
    embedding_init_std=0.1,
    activation="dice",
    position_bias=3,
)


def loop(batch_size):
    return TrainingConfig(
        n_epoch=2,
        batch_size=batch_size,
        learning_rate=1e-3,
        negatives="redrawn",
        redrawn_per_positive=2,
        ema_decay=0.9,
        fused=False,
        num_threads=1,
        checkpoint_seconds=0,
    )


# 19 users make 513 samples: the last step has one, and the second process none of it.
ONE_OF_TWO = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from test_distributed import MODEL, loop
from tests.core.training_logs import planted_log
from din_core.training.checkpoints import CheckpointError, Checkpoints
from din_core.training.loop import train

of_its_own = Path(sys.argv[1], "folder", f"of {dist.get_rank()}")
try:
    Checkpoints(of_its_own, "any run", 30).load()
except CheckpointError as error:
    print(error, file=Path(sys.argv[1], f"refused {dist.get_rank()}").open("w"))
assert Checkpoints(of_its_own.parent, "any run", 30).load() is None
result = train(MODEL, loop(64), planted_log(n_users=19))
save_file(result.model.state_dict(), f"{sys.argv[1]}/{dist.get_rank()}", metadata={
    "loss": repr(result.history[-1].train_loss), "auc": repr(result.history[-1].val_auc)})
"""


def test_two_processes_equal_one_on_the_doubled_batch(tmp_path):
    run_in_two_processes(ONE_OF_TWO, tmp_path)
    first, second = (load_file(tmp_path / name) for name in "01")
    alone = train(MODEL, loop(128), planted_log(n_users=19)).model.state_dict()
    assert_weights_agree(first, second, alone)
    # Before: each of them with a folder of checkpoints of its own.
    for each in "01":
        refused = (tmp_path / f"refused {each}").read_text()
        assert "process 1 of 2 does not see the folder of checkpoints" in refused
    assert [path.name for path in (tmp_path / "folder").rglob("*")] == ["of 0"]


def test_a_single_process_shares_with_nobody():
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    values = torch.ones(3)
    assert torch.equal(distributed.sum_over_processes(values), torch.ones(3))
    parts = [torch.ones(2), torch.zeros(2)]
    (own,) = distributed.sum_gradients([torch.zeros(2)], [[parts[0], None, parts[1]]])
    assert [each is part for each, part in zip(own, parts, strict=True)] == [True, True]
    ids, own = distributed.gather_ids(torch.tensor([4, 2]))
    assert ids[own].tolist() == [4, 2]
    with pytest.raises(ValueError, match="Default process group"):
        torch.distributed.get_rank()
