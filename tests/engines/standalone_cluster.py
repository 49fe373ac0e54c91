"""A cluster of Apache Spark on this machine: a master, workers, and a Spark Connect server."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark

from tests.core.other_processes import free_port

_HERE = "127.0.0.1"
_SECONDS = 120


class Cluster:
    """The processes of a cluster; each worker has one core, and an executor of its own.

    Args:
        folder: Where they keep what they say and what they spill.
    """

    def __init__(self, folder):
        self._folder, self._started = folder, []
        self._master, self._connect = free_port(), free_port()
        home = os.environ.get("SPARK_HOME") or str(Path(pyspark.__file__).parent)
        self._bin = Path(home) / "bin"
        # Of the Spark that this process may have itself nothing is meant for this one.
        others = ("SPARK_", "PYSPARK_", "DIN_")
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(others)},
            "SPARK_HOME": home,
            "SPARK_LOCAL_IP": _HERE,
            "PYSPARK_PYTHON": sys.executable,
        }

    @property
    def address(self):
        return f"sc://{_HERE}:{self._connect}"

    def start(self):
        """Start the master and the server; there is no worker yet."""
        master = ["--host", _HERE, "--port", str(self._master), "--webui-port", "0"]
        self._start("spark-class", "org.apache.spark.deploy.master.Master", *master)
        self._wait_for(self._master)
        settings = {
            "spark.connect.grpc.binding.address": _HERE,
            "spark.connect.grpc.binding.port": self._connect,
            "spark.driver.host": _HERE,
            "spark.driver.memory": "512m",
            "spark.executor.memory": "512m",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            # How often the client hears how far it is.
            "spark.connect.progress.reportInterval": "100ms",
        }
        self._start(
            "spark-submit", "--master", f"spark://{_HERE}:{self._master}",
            *(part for each in settings.items() for part in ("--conf", "=".join(map(str, each)))),
            "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
        )  # fmt: skip
        self._wait_for(self._connect)

    def add_worker(self):
        work = self._folder / f"work{len(self._started)}"
        self._start(
            "spark-class", "org.apache.spark.deploy.worker.Worker", "--host", _HERE,
            "--cores", "1", "--memory", "512m", "--webui-port", "0", "--work-dir", str(work),
            f"spark://{_HERE}:{self._master}",
        )  # fmt: skip

    def executors(self):
        """The processes that work, by their ids."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                said = (process / "cmdline").read_bytes().split(b"\0")
                place = (process / "cwd").readlink()
                if b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in said and (
                    self._folder in place.parents
                ):
                    found.append(int(process.name))
        return found

    def end(self):
        for process in self._started:
            # Executors are of their worker's group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for executor in self.executors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(executor, signal.SIGKILL)

    def log(self):
        """What all of them said."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def _start(self, program, *arguments):
        with (self._folder / f"{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [self._bin / program, *arguments],
                stdout=log, stderr=log, env=self._env, cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)

    def _wait_for(self, port):
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until and self._started[-1].poll() is None:
            with socket.socket() as asking:
                if asking.connect_ex((_HERE, port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log()[-2000:])


@contextlib.contextmanager
def running(folder):
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
