"""Memory that is freed in every step and asked for again in the next.

The C library of most Linux systems (glibc) gives a block above a threshold back to the system when
it is freed, and the system clears each page of the next one: a tenth of a training step. The
threshold follows the largest block that was freed so far, up to 32 MB; so one such block is enough.
"""

from __future__ import annotations

import numpy as np

#: Below glibc's largest threshold, ``DEFAULT_MMAP_THRESHOLD_MAX``. Twice as much may be kept.
_BLOCK_BYTES = 31 << 20


def keep_freed_memory() -> None:
    """Let the process keep some of the memory that it frees, up to 62 MB a thread.

    Does nothing elsewhere, or where ``MALLOC_MMAP_THRESHOLD_`` or ``MALLOC_TRIM_THRESHOLD_`` says
    otherwise.
    """
    np.empty(_BLOCK_BYTES, dtype=np.uint8)  # never written to, so it costs no memory itself
