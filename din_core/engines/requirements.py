"""What has to be installed before an engine can be asked, each with the sentence that says so."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from din_core.engines.errors import EngineError

#: The way to all that the engines need.
INSTALL = "install the extra: pip install 'din-assets[spark]'"

# Sail refuses the clients of later versions, and Spark those of earlier ones do not know.
_PYSPARK = (4, 1)
# Spark 4 starts on no earlier one.
_JAVA = 17


def require_client() -> None:
    """Refuse to go on without a client that the engines understand.

    Raises:
        EngineError: pyspark is not there, not whole, or of another version.
    """
    try:
        import pyspark

        importlib.import_module("pyspark.sql.connect.session")
    except Exception as error:  # pyspark raises its own where grpcio or pandas is not there
        raise EngineError(
            f"the tables are to be made on Spark (DIN_ENGINE=spark), but pyspark is not there or "
            f"not whole ({' '.join(str(error).split())}); {INSTALL}"
        ) from error
    found = tuple(int(each) for each in re.findall(r"\d+", pyspark.__version__)[:2])
    if found != _PYSPARK:
        wanted = ".".join(map(str, _PYSPARK))
        raise EngineError(
            f"pyspark {pyspark.__version__} is installed, and the engines are spoken to by "
            f"{wanted}: pip install 'pyspark-client>={wanted},<{_PYSPARK[0]}.{_PYSPARK[1] + 1}'"
        )


def require_local_spark(remote: str) -> None:
    """Refuse to go on without what an Apache Spark on this machine needs.

    Args:
        remote: What asks for it, ``local[N]``.

    Raises:
        EngineError: Spark itself is not there, or there is no Java, or none that it starts on.
    """
    import pyspark
    from pyspark.util import is_remote_only

    has_jars = "SPARK_HOME" in os.environ or (Path(pyspark.__file__).parent / "jars").is_dir()
    if is_remote_only() or not has_jars:
        raise EngineError(
            f"SPARK_REMOTE is {remote}, an Apache Spark on this machine, and only its client is "
            "installed: pip uninstall pyspark-client; pip install 'pyspark[connect]>=4.1,<4.2'. "
            "Without SPARK_REMOTE Sail makes the tables, and needs neither"
        )
    _require_java(remote)


def _require_java(remote: str) -> None:
    # Where Spark's own launcher looks for it.
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    ways = (
        f"install a JDK of version {_JAVA} or 21 and let JAVA_HOME name its folder; without "
        "SPARK_REMOTE Sail makes the tables, and needs no Java"
    )
    if java is None:
        raise EngineError(f"SPARK_REMOTE is {remote}, which needs Java, and there is none: {ways}")
    try:
        answer = subprocess.run(  # noqa: S603
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        named = f"JAVA_HOME is {home}, but " if home else ""
        raise EngineError(
            f"SPARK_REMOTE is {remote}, which needs Java: {named}{java} does not run ({error}); "
            f"{ways}"
        ) from error
    said = answer.stderr + answer.stdout
    # Up to Java 8 a version begins with "1.".
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < _JAVA:
        version = said.splitlines()[0] if said else "nothing"
        raise EngineError(
            f"SPARK_REMOTE is {remote}, which needs Java {_JAVA} or later, and {java} says "
            f"{version!r}: {ways}"
        )
