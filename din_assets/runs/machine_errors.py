"""Errors of the machine, a disk that is full or not writable, in a sentence.

Apart from :mod:`din_assets.runs.failures`, since commands that start in no time import no Dagster.
"""

import errno
import os
import re
import shutil

_OF_THE_MACHINE = frozenset(
    (
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    )
)


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error says that a file or folder cannot be written, and not that code is wrong."""
    return _plain(error).errno in _OF_THE_MACHINE


def of_the_disk(error: OSError) -> str:
    """Say in a sentence what the system says of a file or folder."""
    said = _plain(error)
    return (
        f"{said.filename or 'a file or the output'}: {said.strerror}; results go to the folder "
        "that DIN_HOME names, which must be writable and have room"
    )


def _plain(error: OSError) -> OSError:
    """Return the first error of a folder that was copied, which is a list of them; else itself."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return error
    listed: list[tuple[str, str, str]] = error.args[0]
    _, file, why = listed[0]
    found = re.match(r"\[Errno (\d+)\]", why)
    return OSError(int(found[1]), os.strerror(int(found[1])), file) if found else error
