"""A whole Deep Interest Network in one call, forward and backward, instead of some two hundred.

What belongs here: the call of ``network.hpp`` for a :class:`din_core.network.models.DIN` and a
batch, and the sentence that says why a network is computed operation by operation. Lanes need it:
between two operations of torch a thread holds Python's lock, and the others wait.

:meth:`din_core.network.models.click_model.ClickModel.loss` is the reference that tests hold the
kernel to. Shapes: B samples, P positions, U rows at hand, D embedding width.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from din_core.network.features import DenseFeature
from din_core.network.kernels import build
from din_core.network.kernels.fused import FusedKernel, KernelPrecision, why_plain
from din_core.network.kernels.network_description import Description, Weights, slopes_of
from din_core.network.kernels.scratch import Scratch
from din_core.network.layers.dice import Dice
from din_core.network.layers.mlp import MLP

if TYPE_CHECKING:
    from din_core.network.batch import Batch
    from din_core.network.layers.attention import ActivationUnit
    from din_core.network.models.din import DIN


class NetworkKernel:
    """A network's log-odds, loss and gradients, compiled for this processor.

    Args:
        model: One that :func:`why_by_operation` has nothing to say about.
        precision: What the final MLP multiplies in while training. Each unit's kernel has its own.
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Raises:
        KernelUnavailableError: As :func:`din_core.network.kernels.build.load`.
    """

    def __init__(
        self, model: DIN, precision: KernelPrecision = "float32", cache_dir: Path | None = None
    ) -> None:
        self._library = build.load(cache_dir)
        self._library.din_network_bytes.restype = ctypes.c_int64
        self._library.din_network.restype = ctypes.c_int64
        self._torch = _functions_of_torch()
        self._model = model
        self._bfloat16 = precision == "bfloat16"
        self._scratch = Scratch()
        names = {id(table): name for name, table in model.embedding.tables()}
        self._table_of = {
            feature.name: names[id(model.embedding.table(feature))]
            for feature in model.embedding.features
        }
        of_tables = {id(table.weight) for _, table in model.embedding.tables()}
        self._weights = [each for each in model.parameters() if id(each) not in of_tables]
        self._sizes = [each.numel() for each in self._weights]
        # Where the gradient of each weight begins among those of all.
        begins = itertools.accumulate(self._sizes, initial=0)
        self._begins = {id(each): begin for each, begin in zip(self._weights, begins, strict=False)}
        self._histories = [history.name for history in model.history_features]
        self._looked_up = self._table_of.keys() - self._histories
        self._numbers = [
            each.name for each in model.context_features if isinstance(each, DenseFeature)
        ]

    def __call__(
        self, rows: Mapping[str, Tensor], batch: Batch, n_samples: int
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Compute loss and gradients, as ``(model.loss(batch) / n_samples).backward()`` does.

        Args:
            rows: By table, the rows at hand, float32 ``[U, D]``.
            batch: With labels and with places among those rows in place of ids.
            n_samples: What the loss is divided by.

        Returns:
            The loss, and the gradients of all weights outside tables, in the model's order, then
            those of the rows; ``None`` where the batch has no sample or next to no position, or
            where something is wrong with it: torch says what.

        Raises:
            IndexError: A place that is no row at hand.
        """
        if batch.label is None or batch.label.shape != (batch.n_samples,) or not self._takes(batch):
            return None
        flat = torch.empty(sum(self._sizes), dtype=torch.float32)
        of_rows = {name: torch.empty(each.shape, dtype=each.dtype) for name, each in rows.items()}
        weights = Weights(flat.data_ptr(), self._begins)
        description = Description(self._model, self._table_of, rows, of_rows, batch)
        logits = torch.empty(batch.n_samples, dtype=torch.float32)
        network = description.of(weights, logits, batch.label, n_samples, bfloat16=self._bfloat16)
        loss = self._run(network, rows)
        parts = flat.split(self._sizes)
        of_weights = (
            part.view(weight.shape) for part, weight in zip(parts, self._weights, strict=True)
        )
        return torch.tensor(loss, dtype=torch.float32), (*of_weights, *of_rows.values())

    def logits(self, batch: Batch) -> Tensor | None:
        """Compute log-odds in float32, as ``model.logits(batch)`` does without gradients.

        Args:
            batch: With the ids that the tables are looked up by.

        Returns:
            ``[B]``; ``None`` as above.

        Raises:
            IndexError: An id outside its table.
        """
        if not self._takes(batch):
            return None
        rows = {name: table.weight.detach() for name, table in self._model.embedding.tables()}
        logits = torch.empty(batch.n_samples, dtype=torch.float32)
        description = Description(self._model, self._table_of, rows, {}, batch)
        self._run(description.of(Weights(None, self._begins), logits), rows)
        return logits

    def _run(self, network: ctypes.Structure, rows: Mapping[str, Tensor]) -> float:
        """Run a pass over a network; return the loss where labels are given."""
        of = (ctypes.byref(network), ctypes.byref(self._torch))
        memory = self._scratch.lease((self._library.din_network_bytes(*of),), torch.uint8)
        loss = ctypes.c_double()
        done = self._library.din_network(
            *of, ctypes.c_void_p(memory.tensor.data_ptr()), ctypes.byref(loss)
        )
        if done == 0:
            sizes = [len(each) for each in rows.values()]
            raise IndexError(f"a place is outside the rows at hand, {sizes} of them")
        if done < 0:
            raise RuntimeError("torch has refused a product of the final MLP; it says why above")
        return loss.value

    def _takes(self, batch: Batch) -> bool:
        """Whether there are samples and positions, and each has its inputs.

        The library reads as many of them as there are, and does not count.
        """
        of_samples, of_positions = batch.sparse, batch.sequences
        n_samples, n_positions = batch.n_samples, len(batch.segment_ids)
        return (
            n_samples > 0
            and n_positions > 1
            and all(_are_places(of_positions.get(each), n_positions) for each in self._histories)
            and all(_are_places(of_samples.get(each), n_samples) for each in self._looked_up)
            and all(
                each in of_samples and len(of_samples[each]) == n_samples for each in self._numbers
            )
        )


def _are_places(places: Tensor | None, number: int) -> bool:
    return (
        places is not None
        and places.shape == (number,)
        and places.dtype in (torch.int64, torch.int32)
    )


def why_by_operation(model: nn.Module) -> str | None:
    """Why a network is computed operation by operation, or ``None`` where the kernel applies."""
    # The class says it, and is not imported here: an edit of it would concern all other models.
    if not vars(type(model)).get("in_one_call"):
        return f"it is a {type(model).__name__}"
    model = cast("DIN", model)
    for each in model.units:
        unit = cast("ActivationUnit", each)
        if not isinstance(unit.kernel, FusedKernel):
            return "an activation unit runs by the plain formula"
        if (reason := why_plain(unit)) is not None:
            return f"of an activation unit: {reason}"
        if isinstance(unit.mlp.activations[0], Dice):
            return "Dice takes its statistics over the batch"
    if not len(model.mlp.layers):
        return "its final MLP has no hidden layer"
    if not all(isinstance(each, nn.PReLU | nn.ReLU) for each in model.mlp.activations):
        return "the activation of its final MLP is none of prelu, relu"
    if model.mlp.dropout.p:
        return "it has dropout"
    if not all(each.is_contiguous() and each.dtype == torch.float32 for each in model.parameters()):
        return "its parameters are not float32 and contiguous"
    if not all(each.requires_grad for each in model.parameters()):
        return "some of its parameters have no gradient"
    if len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.parameters())):
        return "some of its layers share their parameters"
    mlps = [module for module in model.modules() if isinstance(module, MLP)]
    if not all(_has_a_slope_per_channel(each) for each in mlps):
        return "a prelu has one slope for all channels"
    try:
        _functions_of_torch()
    except AttributeError as error:
        return f"this version of torch lacks what it calls ({error})"
    return None


def _has_a_slope_per_channel(mlp: MLP) -> bool:
    widths = (cast("nn.Linear", layer).out_features for layer in mlp.layers)
    return all(
        slopes is None or len(slopes) == width
        for slopes, width in zip(map(slopes_of, mlp.activations), widths, strict=True)
    )


class _Torch(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("from_blob", "release", "mm_out", "addmm_out")),
        *((name, ctypes.c_int64) for name in ("float32", "bfloat16", "cpu")),
    ]


@functools.cache
def _functions_of_torch() -> _Torch:
    """Find what ``mlp.hpp`` calls of torch.

    Raises:
        AttributeError: A function that this version of torch lacks.
    """
    library = ctypes.CDLL(torch._C.__file__)  # pyright: ignore[reportPrivateUsage] (it leads to all libraries of torch)
    functions = (
        getattr(library, f"aoti_torch_{name}")
        for name in ("create_tensor_from_blob", "delete_tensor_object", "mm_out", "addmm_out")
    )
    numbers = (
        getattr(library, f"aoti_torch_{name}")()
        for name in ("dtype_float32", "dtype_bfloat16", "device_type_cpu")
    )
    return _Torch(*(ctypes.cast(each, ctypes.c_void_p) for each in functions), *numbers)
