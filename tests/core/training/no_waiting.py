"""A dispatch mode that refuses whatever would make the host wait for a GPU. It needs no GPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operations whose result, or the size of it, the host must know before it can go on.
WAITING = {
    "_local_scalar_dense",
    "_unique",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}


def tensors_in(values):
    return [each for each in tree_leaves(values) if isinstance(each, torch.Tensor)]


class NoWaiting(TorchDispatchMode):
    """Raise at the first operation that the host waits for; keep the names of all operations."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        self.seen.add(name)
        if why := self._waits(name, args, kwargs):
            raise AssertionError(f"{func} {why}")
        result = func(*args, **kwargs)
        if any(each.layout != torch.strided for each in tensors_in(result)):
            raise AssertionError(f"{func} makes a sparse tensor")
        return result

    @staticmethod
    def _waits(name, args, kwargs):
        tensors = tensors_in((args, kwargs))
        if name in WAITING:
            return "lets the host wait for its result"
        if any(each.layout != torch.strided for each in tensors):
            return "takes a sparse tensor"
        if name in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        ):
            return "takes a mask, whose true elements the host must count"
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            return "has an output as large as its values say"
        # A number without dimensions is handed to a kernel by value.
        if len({each.device for each in tensors if each.dim()}) > 1:
            return "mixes devices"
        if name == "_to_copy" and kwargs.get("device", args[0].device) != args[0].device:
            return "copies to another device"
        return None
