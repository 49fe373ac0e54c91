"""The code location of what is made by name only: ``-m din_assets.evidence``.

An ablation trains for hours. Apart from the pipeline, no ``--select '*'``, no job and no click on
*Materialize all* makes it by the way; the pipeline's graph shows it all the same.
"""

import os
from collections.abc import Sequence

import dagster as dg

from din_assets.assets.catalogue import EVIDENCE
from din_assets.definitions import alone, of_project, store_of
from din_assets.making.placing import placed
from din_assets.names import STORE, Names


def build_evidence_defs(
    *,
    prefix: str | Sequence[str] | None = None,
    group_prefix: str | None = None,
    home: str | os.PathLike[str] | None = None,
) -> dg.Definitions:
    """Put together what is made by name only; as of :func:`din_assets.definitions.build_defs`."""
    names = Names.below(prefix, group_prefix)
    return dg.Definitions(
        assets=placed(EVIDENCE, names),
        resources={names.identifier(STORE): store_of(names, home)},
    )


defs = alone(build_evidence_defs(**of_project()))
