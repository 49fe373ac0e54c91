"""A network, its weights and a batch as ``network.hpp`` reads them: structures of addresses.

What belongs here: the layout, the same as that of the C++ structures, and what fills it. Nothing is
computed. Shapes: B samples, P positions, U rows at hand, D embedding width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from din_core.network.features import DenseFeature

if TYPE_CHECKING:
    from din_core.network.batch import Batch
    from din_core.network.features import Feature
    from din_core.network.kernels.fused import FusedKernel
    from din_core.network.layers.attention import ActivationUnit
    from din_core.network.models.din import DIN


class _Table(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "width")),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient")),
    ]


class _Feature(ctypes.Structure):
    _fields_ = [("table", ctypes.c_int64), ("places", ctypes.c_void_p)]


_OF_UNIT = ("w1", "b1", "alpha1", "w2", "b2", "alpha2", "w3", "b3", "biases")


class _Attention(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("features", "dim", "hidden1", "hidden2", "bfloat16", "n_biases")
        ),
        *((name, ctypes.c_void_p) for name in ("targets", "histories")),
        *((name, ctypes.c_void_p) for name in _OF_UNIT),
        *((f"d_{name}", ctypes.c_void_p) for name in _OF_UNIT),
    ]


class _Context(ctypes.Structure):
    _fields_ = [
        ("width", ctypes.c_int64),
        ("feature", _Feature),
        ("numbers", ctypes.c_void_p),
    ]


class _DenseLayer(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("inputs", "outputs")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "slopes")),
        *((name, ctypes.c_void_p) for name in ("d_weight", "d_bias", "d_slopes")),
    ]


class _Network(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("samples", "positions", "threads", "bfloat16", "with_products")
        ),
        *(
            (name, ctypes.c_int64)
            for name in ("n_tables", "n_attentions", "n_contexts", "n_hidden")
        ),
        ("n_of_step", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("segment_ids", "label", "logits")),
        *((name, ctypes.c_void_p) for name in ("tables", "attentions", "contexts", "layers")),
    ]


class Weights:
    """Addresses of weights and of their gradients, which without a beginning have none."""

    def __init__(self, begin: int | None, begins: Mapping[int, int]) -> None:
        self._begin = begin
        self._begins = begins

    def of(self, *weights: Tensor | None) -> list[int | None]:
        """Addresses of some weights, then of their gradients."""
        return [
            *(None if each is None else each.data_ptr() for each in weights),
            *(
                None
                if each is None or self._begin is None
                else self._begin + each.itemsize * self._begins[id(each)]
                for each in weights
            ),
        ]


class Description:
    """A network, a batch and where results go, as the library reads them for one pass.

    Args:
        model: The network.
        table_of: Name of each feature's table.
        rows: By table, what is looked up in.
        of_rows: By table, where the gradients of those rows go; none where none are asked for.
        batch: What is looked up.
    """

    def __init__(
        self,
        model: DIN,
        table_of: Mapping[str, str],
        rows: Mapping[str, Tensor],
        of_rows: Mapping[str, Tensor],
        batch: Batch,
    ) -> None:
        self._model, self._batch = model, batch
        self._rows, self._of_rows = rows, of_rows
        self._number = {name: number for number, name in enumerate(rows)}
        self._table_of = table_of
        self._alive: list[Any] = []

    def of(
        self,
        weights: Weights,
        logits: Tensor,
        label: Tensor | None = None,
        n_samples: int = 1,
        *,
        bfloat16: bool = False,
    ) -> ctypes.Structure:
        """Describe a pass. What it points to lives as long as this object.

        Args:
            weights: Where weights lie, and where their gradients go.
            logits: Where the log-odds go, float32 ``[B]``; their gradients, where there are labels.
            label: Labels ``[B]``, where loss and gradients are asked for.
            n_samples: What the loss is divided by.
            bfloat16: What the final MLP multiplies in.
        """
        model, batch = self._model, self._batch
        return _Network(
            batch.n_samples,
            len(batch.segment_ids),
            torch.get_num_threads(),
            bfloat16,
            model.product_inputs,
            len(self._rows),
            len(model.groups),
            len(model.context_features),
            len(model.mlp.layers),
            n_samples,
            self._at(batch.segment_ids.long()),
            None if label is None else self._at(label.float()),
            logits.data_ptr(),
            self._array(_Table, self._tables()),
            self._array(_Attention, self._attentions(weights)),
            self._array(_Context, self._contexts()),
            self._array(_DenseLayer, _layers(model, weights)),
        )

    def _at(self, tensor: Tensor) -> int:
        """Address of a tensor's numbers, one behind the other."""
        tensor = tensor.contiguous()
        self._alive.append(tensor)
        return tensor.data_ptr()

    def _array(self, kind: type[ctypes.Structure], each: Sequence[ctypes.Structure]) -> int:
        """Address of structures, one behind the other."""
        array = (kind * len(each))(*each)
        self._alive.append(array)
        return ctypes.addressof(array)

    def _tables(self) -> list[_Table]:
        """The rows at hand."""
        return [
            _Table(
                *each.shape,
                self._at(each),
                self._of_rows[name].data_ptr() if name in self._of_rows else None,
            )
            for name, each in self._rows.items()
        ]

    def _attentions(self, weights: Weights) -> list[_Attention]:
        """The units with what they read."""
        found: list[_Attention] = []
        for module, (histories, targets) in zip(self._model.units, self._model.groups, strict=True):
            unit = cast("ActivationUnit", module)
            first, second = (cast("nn.Linear", layer) for layer in unit.mlp.layers)
            slopes = [slopes_of(activation) for activation in unit.mlp.activations]
            output, biases = unit.mlp.output, unit.position_bias
            single, sequences = self._batch.sparse, self._batch.sequences
            found.append(
                _Attention(
                    len(histories),
                    unit.embed_dim,
                    first.out_features,
                    second.out_features,
                    cast("FusedKernel", unit.kernel).bfloat16,
                    0 if biases is None else len(biases),
                    self._array(_Feature, [self._feature(each, single) for each in targets]),
                    self._array(_Feature, [self._feature(each, sequences) for each in histories]),
                    *weights.of(
                        first.weight,
                        first.bias,
                        slopes[0],
                        second.weight,
                        second.bias,
                        slopes[1],
                        output.weight,
                        output.bias,
                        biases,
                    ),
                )
            )
        return found

    def _contexts(self) -> list[_Context]:
        """What belongs to no history."""
        found: list[_Context] = []
        for feature in self._model.context_features:
            values = self._batch.sparse[feature.name]
            if isinstance(feature, DenseFeature):
                numbers = self._at(self._model.dense(feature, values))
                found.append(_Context(feature.dim, _Feature(), numbers))
            else:
                looked_up = self._feature(feature, self._batch.sparse)
                found.append(_Context(feature.dim, looked_up, None))
        return found

    def _feature(self, feature: Feature, places: Mapping[str, Tensor]) -> _Feature:
        table = self._number[self._table_of[feature.name]]
        return _Feature(table, self._at(places[feature.name].long()))


def _layers(model: DIN, weights: Weights) -> list[_DenseLayer]:
    """The layers of the final MLP, and the output."""
    hidden = [cast("nn.Linear", layer) for layer in model.mlp.layers]
    slopes = [*(slopes_of(activation) for activation in model.mlp.activations), None]
    return [
        _DenseLayer(
            layer.in_features, layer.out_features, *weights.of(layer.weight, layer.bias, slope)
        )
        for layer, slope in zip([*hidden, model.mlp.output], slopes, strict=True)
    ]


def slopes_of(activation: nn.Module) -> Tensor | None:
    """Slope per channel below the corner; ``None`` for ReLU."""
    return activation.weight if isinstance(activation, nn.PReLU) else None
