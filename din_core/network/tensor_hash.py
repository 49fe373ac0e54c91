"""A hash of tensors that depends on their content alone, not on any file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and values of tensors, whatever file they are or were in.

    Args:
        tensors: Such as ``model.state_dict()``; any device, any order.

    Returns:
        SHA-256 in hexadecimal. Equal content gives the equal hash on every machine.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
