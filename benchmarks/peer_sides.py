"""The DINs of other libraries, each run by the interpreter of an environment of its own.

``PYTHON -I benchmarks/peer_sides.py SIDE ARRAYS.npz SCORES.npz OPTIONS`` reads what
:func:`benchmarks.peer_arrays.write_arrays` wrote and writes ``val`` and ``test`` scores and a
``report`` in JSON. It needs NumPy and the peer, and nothing of this project.

Nothing inside a library is changed; what is known of them and matters here:

- FuxiCTR 2.3.10 ships its DIN as a file of ``model_zoo/LongCTR``, whose package does not import
  (its models import each other as scripts), so the file is imported as a script would. The library
  imports ray.
- DeepCTR-Torch 0.3.0 never goes back to training mode after the first validation, which would
  freeze the statistics of Dice; a callback of its own kind puts that right. TensorFlow is not
  imported. On import it asks PyPI for a newer version, and carries on without an answer.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Columns = Mapping[str, Any]


def run_fuxictr(arrays: Columns, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Train FuxiCTR's DIN and score; see :func:`main` for what comes back."""
    import fuxictr.version
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.torch_utils import seed_everything

    zoo = Path(fuxictr.version.__file__).parents[1] / "model_zoo" / "LongCTR" / "DIN"
    sys.path.insert(0, str(zoo))
    from DIN import DIN

    columns = item_columns(arrays)
    feature_map = FeatureMap("peers", "")
    feature_map.labels = ["label"]
    feature_map.default_emb_dim = settings["embedding_dim"]
    for name in columns:
        feature_map.features[name] = {
            "source": "item",
            "type": "categorical",
            "padding_idx": 0,
            "vocab_size": int(arrays[f"vocabulary.{name}"]),
        }
    aucs: list[float] = []

    class ToldDIN(DIN):
        """Keeps the validation AUC of each epoch."""

        def checkpoint_and_earlystop(self, logs: Mapping[str, float], **options: Any) -> None:
            aucs.append(float(logs["AUC"]))
            super().checkpoint_and_earlystop(logs, **options)

    def batches(split: str, *, shuffle: bool = False) -> FuxictrBatches:
        return FuxictrBatches(arrays, split, columns, settings["batch_size"], shuffle=shuffle)

    seed_everything(seed)
    network = {name: settings[name] for name in settings if name not in ("epochs", "batch_size")}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, feature_map.dataset_id).mkdir()  # where its checkpoints go
        model = ToldDIN(
            feature_map,
            gpu=-1,
            model_root=folder,
            optimizer="adam",
            loss="binary_crossentropy",
            task="binary_classification",
            metrics=["AUC"],
            monitor="AUC",
            monitor_mode="max",
            verbose=0,
            **network,
        )
        begin = time.perf_counter()
        model.fit(
            batches("train", shuffle=True),
            validation_data=batches("val"),
            epochs=settings["epochs"],
        )
        seconds = time.perf_counter() - begin
    return {
        "val": model.predict(batches("val")),
        "test": model.predict(batches("test")),
        "val_aucs": aucs,
        "seconds": seconds,
        "library": f"fuxictr {importlib.metadata.version('fuxictr')}",
    }


class FuxictrBatches:
    """Batches as ``LongCTRDataLoader`` makes them, from memory: ``(columns, items, mask)``.

    The items of a sample, its history and then its target, lie side by side in one column, and a
    batch is as wide as its longest history. A last batch of one training sample is left out, as
    batch normalisation has no answer for it.
    """

    def __init__(
        self, arrays: Columns, split: str, columns: list[str], batch_size: int, *, shuffle: bool
    ) -> None:
        import torch

        self._shuffle = shuffle
        self._batch_size = batch_size
        self._items = {
            name: torch.from_numpy(
                np.column_stack([arrays[f"{split}.hist_{name}"], arrays[f"{split}.target_{name}"]])
            )
            for name in columns
        }
        self._lengths = torch.from_numpy(arrays[f"{split}.length"])
        # The library asks for labels also where it throws them away.
        self._labels = torch.from_numpy(
            arrays.get(f"{split}.label", np.zeros(len(self._lengths), np.int32))
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        n_samples = len(self._lengths)
        full, rest = divmod(n_samples, self._batch_size)
        return full + (rest > (1 if self._shuffle else 0))

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of an epoch."""
        import torch

        n_samples = len(self._lengths)
        order = torch.randperm(n_samples) if self._shuffle else torch.arange(n_samples)
        for rows in order.split(self._batch_size)[: len(self)]:
            longest = int(self._lengths[rows].max())
            items = {name: each[rows][:, -longest - 1 :] for name, each in self._items.items()}
            mask = (items["item_idx"][:, :-1] > 0).float()
            flat = {name: each.reshape(-1) for name, each in items.items()}
            yield {"label": self._labels[rows]}, flat, mask


def run_deepctr(arrays: Columns, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Train DeepCTR-Torch's DIN and score; see :func:`main` for what comes back."""
    import torch
    from deepctr_torch.callbacks import Callback, EarlyStopping, ModelCheckpoint
    from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
    from deepctr_torch.models.din import DIN

    columns = item_columns(arrays)
    width = settings["embedding_dim"]
    longest = arrays["train.hist_item_idx"].shape[1]
    sizes = {name: int(arrays[f"vocabulary.{name}"]) for name in ("user_idx", *columns)}
    sparse = [*columns, "user_idx"] if settings["use_user"] else columns
    features = [SparseFeat(name, sizes[name], embedding_dim=width) for name in sparse]
    features += [
        VarLenSparseFeat(
            SparseFeat(f"hist_{name}", sizes[name], embedding_dim=width, embedding_name=name),
            maxlen=longest,
            length_name="length",
        )
        for name in columns
    ]

    def inputs(split: str) -> dict[str, Any]:
        named = {name: arrays[f"{split}.target_{name}"] for name in columns}
        named |= {f"hist_{name}": arrays[f"{split}.hist_{name}"] for name in columns}
        named |= {name: arrays[f"{split}.{name}"] for name in ("user_idx", "length")}
        return named

    class BackToTraining(Callback):
        """Puts the model into training mode again, which ``fit`` does before the first epoch."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            self.model.train()

    not_of_the_network = ("embedding_dim", "use_user", "optimizer", "batch_size", "epochs")
    network = {
        name: each
        for name, each in settings.items()
        if name not in (*not_of_the_network, "early_stop_patience")
    }
    model = DIN(features, columns, seed=seed, device="cpu", **network)
    model.compile(settings["optimizer"], "binary_crossentropy", metrics=["auc"])
    batch_size = settings["batch_size"]
    with tempfile.TemporaryDirectory() as folder:
        best = str(Path(folder, "best.pt"))
        watched = {"monitor": "val_auc", "mode": "max"}
        begin = time.perf_counter()
        history = model.fit(
            inputs("train"),
            arrays["train.label"].astype(np.float32),
            batch_size=batch_size,
            epochs=settings["epochs"],
            verbose=0,
            validation_data=(inputs("val"), arrays["val.label"].astype(np.float32)),
            callbacks=[
                BackToTraining(),
                ModelCheckpoint(best, save_best_only=True, save_weights_only=True, **watched),
                EarlyStopping(patience=settings["early_stop_patience"], **watched),
            ],
        )
        seconds = time.perf_counter() - begin
        model.load_state_dict(torch.load(best))
    return {
        "val": model.predict(inputs("val"), batch_size).ravel(),
        "test": model.predict(inputs("test"), batch_size).ravel(),
        "val_aucs": [float(each) for each in history.history["val_auc"]],
        "seconds": seconds,
        "library": f"deepctr-torch {importlib.metadata.version('deepctr-torch')}",
    }


def item_columns(arrays: Columns) -> list[str]:
    """Return the columns that both the target and the history have, ``item_idx`` first."""
    names = [name.removeprefix("train.hist_") for name in arrays if name.startswith("train.hist_")]
    return sorted(names, key=lambda name: name != "item_idx")


SIDES: dict[str, Callable[[Columns, Mapping[str, Any], int], dict[str, Any]]] = {
    "fuxictr": run_fuxictr,
    "deepctr": run_deepctr,
}


def main(side: str, arrays_path: str, scores_path: str, options: Mapping[str, Any]) -> None:
    """Run a side; the weights that score are those of the epoch with the best validation AUC.

    Args:
        side: One of :data:`SIDES`.
        arrays_path: The samples.
        scores_path: Where ``val`` and ``test`` scores and the ``report`` go.
        options: ``seed`` and ``settings``, as :mod:`benchmarks.peer_settings` has them.
    """
    with np.load(arrays_path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    result = SIDES[side](arrays, options["settings"], options["seed"])
    scores = {split: result.pop(split) for split in ("val", "test")}
    result["torch"] = importlib.metadata.version("torch")
    np.savez(scores_path, report=np.array(json.dumps(result)), **scores)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
