"""What a person decides about a model: go back to it, pin it; and finding it by its version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from din_core import manifests
from din_core.errors import WrongRequestError
from din_core.serving.publication import history
from din_core.serving.publication.history import SHORT, ModelVersion, Publication

if TYPE_CHECKING:
    import duckdb


def find(versions: Sequence[ModelVersion], prefix: str) -> ModelVersion:
    """Find a model by the beginning of its version, or of its bundle's.

    Args:
        versions: From :func:`history.model_versions`.
        prefix: The beginning; of a model that is in several bundles the latest one counts.

    Raises:
        WrongRequestError: No version begins so, or those of several models do.
    """
    found = [
        each
        for each in versions
        if prefix
        and (each.model_version.startswith(prefix) or each.bundle_version.startswith(prefix))
    ]
    models = list(dict.fromkeys(each.model_version[:SHORT] for each in found))
    if not found:
        raise WrongRequestError(
            f"no model version begins with {prefix!r}; `din models` lists the {len(versions)} that "
            "were judged"
        )
    if len(models) > 1:
        raise WrongRequestError(
            f"{prefix!r} is the beginning of {len(models)} model versions ({', '.join(models)}); "
            "write more of it"
        )
    return found[-1]


def roll_back(con: duckdb.DuckDBPyConnection, root: Path, to: ModelVersion) -> Publication | None:
    """Make a bundle of an earlier model the one that is served, as far as the tables say.

    Args:
        con: Connection to the pipeline's database, in a transaction. Once it is committed,
            :func:`judgement.point_to_served` has to follow.
        root: The artifacts' root.
        to: The model.

    Returns:
        What was decided; None where that bundle is served already.

    Raises:
        WrongRequestError: Its bundle was removed or is damaged.
    """
    if damage := manifests.damage_of(root / "bundle" / to.bundle_version):
        raise WrongRequestError(
            f"model {to.model_version[:SHORT]} cannot be served: {damage}. `din prune` removes "
            "bundles that are neither published nor pinned; `din run` with the model's log and "
            "options (`din models VERSION VERSION` shows them) makes it again"
        )
    served = history.served(history.publications(con))
    if served is not None and served.bundle_version == to.bundle_version:
        return None
    before = "nothing" if served is None else served.bundle_version[:SHORT]
    decided = _decided(to, "rolled back", f"din rollback, from {before}")
    history.add(con, decided=[decided])
    return decided


def pin(con: duckdb.DuckDBPyConnection, of: ModelVersion, *, pinned: bool) -> bool:
    """Pin a bundle, so that ``din prune`` leaves it, or unpin it.

    Args:
        con: Connection to the pipeline's database, in a transaction.
        of: The model.
        pinned: Whether it is to be pinned.

    Returns:
        Whether it was not so before.
    """
    before = of.bundle_version in history.pinned(history.publications(con))
    if before == pinned:
        return False
    action: history.Action = "pinned" if pinned else "unpinned"
    reason = "din models --pin" if pinned else "din models --unpin"
    history.add(con, decided=[_decided(of, action, reason)])
    return True


def _decided(of: ModelVersion, action: history.Action, reason: str) -> Publication:
    return Publication(
        decided_at=history.now(),
        model_version=of.model_version,
        bundle_version=of.bundle_version,
        action=action,
        reason=reason,
    )
