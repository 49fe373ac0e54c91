"""Errors of the machine, a disk that is full or not writable, in a sentence.

Apart from :mod:`din_assets.runs.failures`, since commands that start in no time import no Dagster.
"""

import errno

_OF_THE_MACHINE = frozenset(
    (
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    )
)


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error says that a file or folder cannot be written, and not that code is wrong."""
    return error.errno in _OF_THE_MACHINE


def of_the_disk(error: OSError) -> str:
    """Say in a sentence what the system says of a file or folder."""
    return (
        f"{error.filename or 'a file'}: {error.strerror}; results go to the folder that DIN_HOME "
        "names, which must be writable and have room"
    )
