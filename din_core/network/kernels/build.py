"""Compile the C++ of this folder on the user's machine, once, and load it.

Compiled for the very processor it runs on (``-march=native``), the result is kept in a cache
folder under a name made of sources, compiler and instruction set. Nothing here knows what the
kernels compute. No PyTorch headers are needed: the interface is plain C, called through
:mod:`ctypes`, so that a build takes seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

logger = logging.getLogger(__name__)

COMPILERS = ("c++", "g++", "clang++")
# No -ffast-math: the exponential relies on the order of its additions, and NaN must stay NaN.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
_SOURCES = (
    "library.cpp",
    "forward.hpp",
    "backward.hpp",
    "candidates.hpp",
    "hidden_gradients.hpp",
    "mlp.hpp",
    "network.hpp",
    "positions.hpp",
    "row_adam.hpp",
    "rows.hpp",
    "vectors.hpp",
)
_FOLDER = Path(__file__).parent
_ROOT = 0  # who may write anything anyway


class KernelUnavailableError(RuntimeError):
    """The fused kernels cannot run here; the message says why. The plain formula always can."""


def default_cache() -> Path:
    """Where compiled kernels are kept: ``~/.cache/din_core``."""
    return Path.home() / ".cache" / "din_core"


@functools.cache
def load(cache_dir: Path | None = None) -> ctypes.CDLL:
    """Load the kernels, compiling them if this machine has not done so yet.

    Safe when several processes do it at once: each compiles to a name of its own, and the last
    one to finish renames its file over an equal one.

    Args:
        cache_dir: Folder of compiled kernels, made if need be; :func:`default_cache` by default.
            Where it cannot be written, a temporary folder serves for this process.

    Raises:
        KernelUnavailableError: Another processor than x86-64, no C++ compiler, or it failed; or
            the folder or a file in it is one that somebody else may have written.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or os.name != "posix":
        raise KernelUnavailableError(
            f"the fused kernels are written for x86-64 on Linux and macOS, and this is "
            f"{platform.machine()} on {platform.system()}"
        )
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise KernelUnavailableError(
            f"no C++ compiler on the PATH (looked for {', '.join(COMPILERS)}); install one, "
            "such as g++, for the fused kernels"
        )
    folder = default_cache() if cache_dir is None else cache_dir
    with contextlib.ExitStack() as passing:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            _require_ours(folder)
            if not os.access(folder, os.W_OK):
                raise PermissionError(f"{folder} is not writable")
        except OSError as error:
            # What is loaded stays in memory when its file is gone.
            folder = Path(passing.enter_context(tempfile.TemporaryDirectory(prefix="din_core_")))
            logger.info("compiled kernels cannot be kept (%s); building them anew", error)
        library = folder / f"kernels-{_fingerprint(compiler)}.so"
        if not os.path.lexists(library):
            compile_library(compiler, library)
        _require_ours(library)
        try:
            return ctypes.CDLL(str(library))
        except OSError as error:
            raise KernelUnavailableError(
                f"{library} does not load ({error}); delete it to have it compiled again"
            ) from error


def _require_ours(path: Path) -> None:
    """Refuse what somebody else may have put there: loading it would run their program as ours.

    The path may be no link, and may be written by its owner alone, who is this user or root. A
    folder further up may be open to others: what they put in the place of ours is theirs.

    Raises:
        KernelUnavailableError: It is not so; the message says what to do.
    """
    found = path.lstat()
    trusted = (os.geteuid(), _ROOT)
    wrong = None
    if stat.S_ISLNK(found.st_mode):
        wrong = "is a link"
    elif found.st_uid not in trusted:
        wrong = f"belongs to user {found.st_uid}"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    if wrong is not None:
        raise KernelUnavailableError(
            f"{path} {wrong}, and a kernel that somebody else may have put there is not run; "
            "delete it, or name another folder, to have the kernels compiled again"
        )


def _fingerprint(compiler: str) -> str:
    """Hash of everything the machine code follows from."""
    # The macros that the compiler predefines name its version and every instruction set it uses.
    macros = _run([compiler, *FLAGS[:3], "-E", "-dM", "-x", "c++", os.devnull])
    digest = hashlib.sha256(macros.encode())
    digest.update(" ".join(FLAGS).encode())
    for name in _SOURCES:
        digest.update((_FOLDER / name).read_bytes())
    return digest.hexdigest()[:16]


def compile_library(compiler: str, library: Path) -> None:
    """Compile under a name of its own beside `library`, then rename."""
    start = time.perf_counter()
    handle, name = tempfile.mkstemp(dir=library.parent, suffix=".so")
    os.close(handle)
    unfinished = Path(name)
    try:
        _run([compiler, *FLAGS, str(_FOLDER / _SOURCES[0]), "-o", name])
        unfinished.chmod(0o755)
        unfinished.replace(library)
    finally:
        unfinished.unlink(missing_ok=True)
    logger.info("compiled %s in %.1f s", library, time.perf_counter() - start)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise KernelUnavailableError(
            f"the C++ compiler {command[0]} failed: {said[0] if said else error}"
        ) from error
    return done.stdout
