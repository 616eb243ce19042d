"""Keeps freed memory instead of giving it back: on Linux, training on the CPU otherwise spends half of its time in
page faults, since every large tensor is mapped anew (docs/decisions/009-keep-freed-memory.md).
"""

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGE = 2**30  # bytes; blocks up to this size are kept


def keep_freed_memory() -> bool:
    """Sets glibc's thresholds once for this process; True if they were set. FILMGRAIN_ALLOCATOR=0 leaves them alone."""
    if sys.platform != "linux" or os.environ.get("FILMGRAIN_ALLOCATOR") == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(mallopt(TRIM_THRESHOLD, LARGE) and mallopt(MMAP_THRESHOLD, LARGE))
