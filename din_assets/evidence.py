"""The code location of what is made by name only: ``-m din_assets.evidence``.

An ablation trains for hours. Apart from the pipeline, no ``--select '*'``, no job and no click on
*Materialize all* makes it by the way; the pipeline's graph shows it all the same.
"""

import dagster as dg

from din_assets.assets.catalogue import EVIDENCE
from din_assets.runs import console, executor
from din_assets.starting.run_start import RunStore

console.use_by_default()

defs = dg.Definitions(
    assets=EVIDENCE,
    resources={"store": RunStore()},
    executor=executor.in_process,
    loggers={"console": console.console_logger},
)
