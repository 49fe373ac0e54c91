"""What runs inside a side's process: ``python -m benchmarks.side NAME JSON``, for the harness only.

Sides import what they compare inside their functions and then start their clock, so that the time
of the work and the memory of the imports are known apart. Their report is a JSON file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    busy_sides,
    embedding_sides,
    engine_sides,
    gpu_sides,
    growth_sides,
    language_sides,
    quality_sides,
    sequence_sides,
    serving_sides,
    step_sides,
    training_sides,
)
from benchmarks.clock import Clock

SIDES: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        sequence_sides.write_log,
        sequence_sides.write_scale_log,
        sequence_sides.ours_sequences,
        sequence_sides.theirs_sequences,
        training_sides.ours_training,
        training_sides.theirs_training,
        step_sides.ours_steps,
        busy_sides.ours_beside,
        gpu_sides.gpu_there,
        gpu_sides.gpu_agreement,
        gpu_sides.gpu_training,
        gpu_sides.theirs_on_gpu,
        serving_sides.rank_requests,
        language_sides.ask_in_languages,
        quality_sides.quality,
        growth_sides.growth,
        engine_sides.engine_tables,
        embedding_sides.embeddings,
    )
}


def main(name: str, wish: dict[str, Any]) -> None:
    """Run a side and write its report."""
    clock = Clock()
    figures = SIDES[name](clock, **wish["options"])
    Path(wish["report"]).write_text(json.dumps({**clock.report, **figures}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
