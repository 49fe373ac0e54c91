"""Where the UI looks for a run's job: runs of the command line would not be on its home page.

The home page shows runs by the code location of their job. A run that the UI launches has it, and a
run of ``din run`` or ``dagster asset materialize`` has none; here it gets that of
``workspace.yaml``, or of the module that it names.
"""

import sys
from typing import Any

import dagster as dg
import yaml
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from din_assets.runs import paths

#: Dagster's name of what a module defines.
_REPOSITORY = "__repository__"
_OWN = "din_assets.definitions"


def with_origin(run: dg.DagsterRun) -> dg.DagsterRun:
    """Return a run with the code location of its job, which it may have already."""
    if run.remote_job_origin is not None:
        return run
    code: Any = run.job_code_origin
    module = getattr(code and code.repository_origin.code_pointer, "module", None) or _served()
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name=module),
        location_name=module,
    )
    return run._replace(  # pyright: ignore[reportPrivateUsage]
        remote_job_origin=RemoteJobOrigin(
            RemoteRepositoryOrigin(location, _REPOSITORY), run.job_name
        )
    )


def _served() -> str:
    """The module of ``workspace.yaml`` that the UI serves, or the project's own."""
    workspace = paths.project_root() / "workspace.yaml"
    try:
        entries = yaml.safe_load(workspace.read_text(encoding="utf-8"))["load_from"]
        named = entries[0]["python_module"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError):
        return _OWN
    if isinstance(named, dict):
        return str(named.get("location_name") or named.get("module_name") or _OWN)
    return str(named)
