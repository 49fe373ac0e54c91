"""What stands beside an asset's name in a terminal: its main figure, and times as one says them."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg


def main_figure(metadata: Mapping[str, dg.MetadataValue]) -> str:
    """Return what stands beside an asset's name: its AUC, its rows or its size; empty if neither.

    Args:
        metadata: That of its materialization.
    """
    values = {name: value.value for name, value in metadata.items()}
    if isinstance(auc := values.get("auc"), float):
        popularity = values.get("popularity_auc")
        beside = f", popularity {popularity:.4f}" if isinstance(popularity, float) else ""
        return f"test AUC {auc:.4f}{beside}"
    if isinstance(auc := values.get("val_auc"), float):
        return f"validation AUC {auc:.4f}, epoch {values.get('best_epoch')}"
    if isinstance(rows := values.get("dagster/row_count"), int):
        return f"{rows:,} row{'' if rows == 1 else 's'}"
    if isinstance(path := values.get("path"), str):
        return _size(Path(path))
    return ""


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def duration(seconds: float) -> str:
    """A time as one says it: ``35 s``, ``2 min 05 s``, ``1 h 10 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
