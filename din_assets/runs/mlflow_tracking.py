"""Where MLflow runs go: what its own environment variables name, else a file in the home.

``MLFLOW_TRACKING_URI`` names the server, ``MLFLOW_EXPERIMENT_NAME`` the experiment, and MLflow
itself reads what it has to know to be let in.
"""

import os
from typing import TYPE_CHECKING

from din_assets.runs.resources import StoreResource

if TYPE_CHECKING:
    from din_core.serving.publication.mlflow_runs import Tracking

#: The folder of MLflow's own files in the home, where no server is named.
FOLDER = "mlflow"
EXPERIMENT = "din-assets"

# A run holds the lock meanwhile, and what cannot be recorded now is recorded by the next run:
# MLflow would try for minutes. It reports its use to its makers, where Dagster here does not
# either. What it says of its tables is nothing to this log's terminal.
_UNLESS_NAMED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def tracking(store: StoreResource) -> "Tracking":
    """Return where the models of a log are recorded.

    MLflow reads its variables from the environment when it is imported: those that nobody set are
    set here.

    Args:
        store: The log's store.
    """
    from din_core.serving.publication.mlflow_runs import Tracking

    for name, value in _UNLESS_NAMED.items():
        os.environ.setdefault(name, value)
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "/".join(
        [*store.names.prefix, EXPERIMENT]
    )
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        return Tracking(named, experiment)
    folder = store.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return Tracking(f"sqlite:///{folder / 'mlflow.db'}", experiment, (folder / "files").as_uri())
