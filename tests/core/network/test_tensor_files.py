"""Files of tensors: what is written, and what is said where that cannot be."""

import errno
import resource

import pytest
import torch
from safetensors import safe_open

from din_core.network.tensor_files import save_tensors


def test_tensors_and_what_the_header_says_are_read_back(tmp_path):
    save_tensors({"one": torch.tensor([1.0, 2.0])}, tmp_path / "file", {"din": "said"})
    with safe_open(tmp_path / "file", framework="pt") as file:
        assert file.metadata() == {"din": "said"}
        assert file.get_tensor("one").tolist() == [1.0, 2.0]


def test_disk_that_takes_no_more_is_an_error_of_the_system(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a quota, or a full disk
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            save_tensors({"one": torch.zeros(1000)}, tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "file"))


def test_folder_that_is_gone_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_tensors({"one": torch.zeros(2)}, tmp_path / "gone" / "file")


def test_tensors_that_share_memory_are_no_error_of_the_system(tmp_path):
    both = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save_tensors({"one": both, "other": both}, tmp_path / "file")
